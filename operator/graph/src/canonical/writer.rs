//! Writes canonical JSON straight from a value: takes what `serde` is told, gives bytes. No tree of the value is built, since
//! an evaluation writes some megabytes of small objects for every thousand findings.
//!
//! Each object is written in the order in which it comes; when it ends, the order of its fields is noted where it is another
//! one. Read out, each byte is moved once into its place, however deep it stands. Of a key that comes twice the last one stays,
//! as in a map.

use std::borrow::Cow;
use std::ops::Range;

use serde::ser::{self, Error as _, Serialize};
use serde_json::{Error, Value as Json};

type Result<T = ()> = std::result::Result<T, Error>;

/// What [`super::marked`] calls a value; to every other serializer a newtype is what is in it.
pub(super) const MARKED: &str = "sv0:marked";

/// A field of an object: its key, and where it stands as `"key":value`.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: Cow<'static, str>,
    pub(super) at: Range<usize>,
}

/// Room for most objects that are written, so that their bytes are not moved again and again while they grow.
const ROOM: usize = 4 * 1024;

/// An object whose fields do not stand in the order of their keys.
#[derive(Debug)]
struct Unsorted {
    /// Where what is between its braces stands.
    at: Range<usize>,
    /// Where its fields stand in [`Writer::order`].
    fields: Range<usize>,
}

/// What is written, and the fields of the objects that have not ended. Can be used again and again.
#[derive(Debug)]
pub(super) struct Writer {
    /// As it came.
    raw: Vec<u8>,
    /// Of the outermost object they are left here when it has ended, in their order.
    pub(super) fields: Vec<Field>,
    /// Those that have ended and have to be read out in another order.
    unsorted: Vec<Unsorted>,
    /// Their fields in the order of the keys.
    order: Vec<Range<usize>>,
    /// JSON values that were written, as [`Writer::values`] counts them.
    values: u64,
    /// Where the last value that [`super::marked`] wrote stands.
    pub(super) marked: Option<Range<usize>>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            raw: Vec::with_capacity(ROOM),
            fields: Vec::with_capacity(32),
            unsorted: Vec::new(),
            order: Vec::new(),
            values: 0,
            marked: None,
        }
    }

    /// Forgets what was written, and keeps the room.
    pub(super) fn clear(&mut self) {
        self.raw.clear();
        self.fields.clear();
        self.unsorted.clear();
        self.order.clear();
        self.values = 0;
        self.marked = None;
    }

    /// Bytes that are written.
    pub(super) const fn len(&self) -> usize {
        self.raw.len()
    }

    /// The entries of all objects and lists; an empty one counts as one.
    pub(super) const fn values(&self) -> u64 {
        self.values
    }

    /// Whether an object without a field was written, and nothing else.
    pub(super) fn is_empty_object(&self) -> bool {
        self.raw == b"{}"
    }

    /// Writes a field of an object that has ended; where it stands.
    pub(super) fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<Range<usize>> {
        let at = self.raw.len();
        self.values += 1;
        self.text(key)?;
        self.raw.push(b':');
        value.serialize(&mut *self)?;
        Ok(at..self.raw.len())
    }

    /// Puts what was written to `at`, a value or a field, behind what is in `out`.
    pub(super) fn read(&mut self, at: Range<usize>, out: &mut Vec<u8>) {
        if !self.unsorted.is_sorted_by_key(|object| object.at.start) {
            self.unsorted.sort_unstable_by_key(|object| object.at.start);
        }
        self.sorted(at, out);
    }

    fn sorted(&self, at: Range<usize>, out: &mut Vec<u8>) {
        let mut from = at.start;
        loop {
            // What begins with a brace or a key holds no object that begins there.
            let next = self.unsorted.partition_point(|object| object.at.start <= from);
            let object = self.unsorted.get(next).filter(|object| object.at.end <= at.end);
            let Some(object) = object else { break };
            self.copy(from..object.at.start, out);
            for (nth, field) in self.order.get(object.fields.clone()).unwrap_or_default().iter().enumerate() {
                if nth > 0 {
                    out.push(b',');
                }
                self.sorted(field.clone(), out);
            }
            from = object.at.end;
        }
        self.copy(from..at.end, out);
    }

    fn copy(&self, at: Range<usize>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.raw.get(at).unwrap_or_default());
    }

    /// A scalar, as `serde_json` writes it.
    fn scalar<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        serde_json::to_writer(&mut self.raw, value)
    }

    /// A text. Nearly all of them hold nothing that JSON escapes.
    fn text(&mut self, text: &str) -> Result {
        if !plain(text.as_bytes()) {
            return self.scalar(text);
        }
        self.raw.push(b'"');
        self.raw.extend_from_slice(text.as_bytes());
        self.raw.push(b'"');
        Ok(())
    }

    fn object(&mut self, closing: &'static [u8]) -> Object<'_> {
        let (start, first) = (self.raw.len(), self.fields.len());
        self.raw.push(b'{');
        Object { writer: self, start, first, pending: None, closing }
    }

    fn list(&mut self, closing: &'static [u8]) -> List<'_> {
        self.raw.push(b'[');
        List { writer: self, empty: true, closing }
    }

    /// `{"variant":`, which the value's closing ends.
    fn variant(&mut self, variant: &str) -> Result {
        self.values += 1;
        self.raw.push(b'{');
        self.text(variant)?;
        self.raw.push(b':');
        Ok(())
    }

    /// Notes the order of the fields from `first` on, which stand behind `start`, unless they stand in it.
    fn sort(&mut self, start: usize, first: usize) {
        let Self { raw, fields, unsorted, order, .. } = self;
        let own = fields.get_mut(first..).unwrap_or_default();
        if own.is_sorted_by(|a, b| a.key < b.key) {
            return;
        }
        own.sort_by(|a, b| a.key.cmp(&b.key));
        own.reverse();
        // The last one of a key that comes twice is the first one now.
        let mut own = fields.split_off(first);
        own.dedup_by(|later, kept| later.key == kept.key);
        own.reverse();
        let noted = order.len();
        order.extend(own.iter().map(|field| field.at.clone()));
        fields.append(&mut own);
        unsorted.push(Unsorted { at: start..raw.len(), fields: noted..order.len() });
    }
}

/// Bytes that are looked at together: as many as a processor takes at once.
const TOGETHER: usize = 32;

/// Whether nothing of a text is escaped in JSON.
fn plain(text: &[u8]) -> bool {
    const fn escaped(byte: u8) -> bool {
        byte < b' ' || byte == b'"' || byte == b'\\'
    }
    let (chunks, rest) = text.as_chunks::<TOGETHER>();
    // Within a chunk nothing ends early: only so are its bytes compared all at once.
    let any = |chunk: &[u8; TOGETHER]| chunk.iter().fold(false, |any, byte| any | escaped(*byte));
    !chunks.iter().any(any) && !rest.iter().any(|byte| escaped(*byte))
}

/// An object that is being written.
pub(super) struct Object<'a> {
    writer: &'a mut Writer,
    /// Where it starts.
    start: usize,
    /// The first of its fields.
    first: usize,
    /// A key whose value has not come yet, and where it stands.
    pending: Option<(Cow<'static, str>, usize)>,
    closing: &'static [u8],
}

impl Object<'_> {
    fn key(&mut self, key: Cow<'static, str>) -> Result {
        if self.writer.fields.len() > self.first {
            self.writer.raw.push(b',');
        }
        let at = self.writer.raw.len();
        self.writer.text(&key)?;
        self.writer.raw.push(b':');
        self.writer.values += 1;
        self.pending = Some((key, at));
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        let (key, at) = self.pending.take().ok_or_else(|| Error::custom("a value without a key"))?;
        value.serialize(&mut *self.writer)?;
        self.writer.fields.push(Field { key, at: at..self.writer.raw.len() });
        Ok(())
    }

    fn close(self) {
        let Self { writer, start, first, closing, .. } = self;
        writer.values += u64::from(writer.fields.len() == first);
        writer.sort(start + 1, first);
        writer.raw.extend_from_slice(closing);
        if start > 0 {
            writer.fields.truncate(first);
        }
    }
}

impl ser::SerializeMap for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        let key = match serde_json::to_value(key)? {
            Json::String(key) => key,
            Json::Number(key) => key.to_string(),
            Json::Bool(key) => key.to_string(),
            Json::Null | Json::Array(_) | Json::Object(_) => return Err(Error::custom("a key must be a string")),
        };
        self.key(Cow::Owned(key))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.value(value)
    }

    fn end(self) -> Result {
        self.close();
        Ok(())
    }
}

impl ser::SerializeStruct for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
        self.key(Cow::Borrowed(key))?;
        self.value(value)
    }

    fn end(self) -> Result {
        self.close();
        Ok(())
    }
}

impl ser::SerializeStructVariant for Object<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
        ser::SerializeStruct::serialize_field(self, key, value)
    }

    fn end(self) -> Result {
        self.close();
        Ok(())
    }
}

/// A list that is being written.
pub(super) struct List<'a> {
    writer: &'a mut Writer,
    empty: bool,
    closing: &'static [u8],
}

impl List<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result {
        if !std::mem::take(&mut self.empty) {
            self.writer.raw.push(b',');
        }
        self.writer.values += 1;
        item.serialize(&mut *self.writer)
    }
}

/// The four traits of lists differ in names alone.
macro_rules! list {
    ($($of:ident $method:ident),+) => {$(
        impl ser::$of for List<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, item: &T) -> Result {
                self.item(item)
            }

            fn end(self) -> Result {
                self.writer.values += u64::from(self.empty);
                self.writer.raw.extend_from_slice(self.closing);
                Ok(())
            }
        }
    )+};
}

list!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

/// Scalars are what `serde_json` makes of them in a tree: a float of single precision becomes one of double precision there,
/// a number of 128 bits that does not fit is an error.
macro_rules! scalars {
    ($($method:ident $type:ty),+) => {$(
        fn $method(self, value: $type) -> Result {
            self.scalar(&value)
        }
    )+};
}

impl<'a> ser::Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Object<'a>;
    type SerializeStruct = Object<'a>;
    type SerializeStructVariant = Object<'a>;

    scalars!(
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_u8 u8,
        serialize_u16 u16, serialize_u32 u32, serialize_u64 u64, serialize_f64 f64, serialize_char char,
        serialize_bytes &[u8]
    );

    fn serialize_str(self, value: &str) -> Result {
        self.text(value)
    }

    fn serialize_f32(self, value: f32) -> Result {
        self.scalar(&f64::from(value))
    }

    fn serialize_i128(self, value: i128) -> Result {
        self.scalar(&serde_json::to_value(value)?)
    }

    fn serialize_u128(self, value: u128) -> Result {
        self.scalar(&serde_json::to_value(value)?)
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.raw.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result {
        let start = self.raw.len();
        value.serialize(&mut *self)?;
        if name == MARKED {
            self.marked = Some(start..self.raw.len());
        }
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.raw.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>> {
        Ok(self.list(b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>> {
        Ok(self.list(b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>> {
        Ok(self.list(b"]"))
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<List<'a>> {
        self.variant(variant)?;
        Ok(self.list(b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object<'a>> {
        Ok(self.object(b"}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object<'a>> {
        Ok(self.object(b"}"))
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Object<'a>> {
        self.variant(variant)?;
        Ok(self.object(b"}}"))
    }
}
