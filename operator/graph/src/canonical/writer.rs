//! Writes canonical JSON straight from a value: takes what `serde` is told, gives bytes. No tree of the value is built, since
//! an evaluation writes some megabytes of small objects for every thousand findings.
//!
//! Each object is written in the order in which it comes; when it ends, its fields are moved into the order of their keys.
//! Of a key that comes twice the last one stays, as in a map.

use std::borrow::Cow;
use std::ops::Range;

use serde::ser::{self, Error as _, Serialize};
use serde_json::{Error, Value as Json};

type Result<T = ()> = std::result::Result<T, Error>;

/// A field of an object: its key, and where it stands as `"key":value`.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: Cow<'static, str>,
    pub(super) at: Range<usize>,
}

/// Room for most objects that are written, so that their bytes are not moved again and again while they grow.
const ROOM: usize = 4 * 1024;

/// What is written, and the fields of the objects that have not ended.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
    /// Of the outermost object they are left here when it has ended, in their order.
    pub(super) fields: Vec<Field>,
    scratch: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { out: Vec::with_capacity(ROOM), fields: Vec::with_capacity(32), scratch: Vec::with_capacity(ROOM) }
    }

    /// A scalar, as `serde_json` writes it.
    fn scalar<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        serde_json::to_writer(&mut self.out, value)
    }

    /// A text. Nearly all of them hold nothing that JSON escapes.
    fn text(&mut self, text: &str) -> Result {
        if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            return self.scalar(text);
        }
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
        Ok(())
    }

    fn object(&mut self, closing: &'static [u8]) -> Object<'_> {
        let (start, first) = (self.out.len(), self.fields.len());
        self.out.push(b'{');
        Object { writer: self, start, first, pending: None, closing }
    }

    fn list(&mut self, closing: &'static [u8]) -> List<'_> {
        self.out.push(b'[');
        List { writer: self, empty: true, closing }
    }

    /// `{"variant":`, which the value's closing ends.
    fn variant(&mut self, variant: &str) -> Result {
        self.out.push(b'{');
        self.text(variant)?;
        self.out.push(b':');
        Ok(())
    }

    /// Puts the fields from `first` on, which stand behind `start`, into the order of their keys.
    fn sort(&mut self, start: usize, first: usize) {
        let Self { out, fields, scratch } = self;
        let own = fields.get_mut(first..).unwrap_or_default();
        if own.is_sorted_by(|a, b| a.key < b.key) {
            return;
        }
        own.sort_by(|a, b| a.key.cmp(&b.key));
        let mut all = fields.split_off(first).into_iter().peekable();
        scratch.clear();
        while let Some(field) = all.next() {
            if all.peek().is_some_and(|next| next.key == field.key) {
                continue;
            }
            if fields.len() > first {
                scratch.push(b',');
            }
            let at = start + scratch.len();
            scratch.extend_from_slice(out.get(field.at).unwrap_or_default());
            fields.push(Field { key: field.key, at: at..start + scratch.len() });
        }
        out.truncate(start);
        out.extend_from_slice(scratch);
    }
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
            self.writer.out.push(b',');
        }
        let at = self.writer.out.len();
        self.writer.text(&key)?;
        self.writer.out.push(b':');
        self.pending = Some((key, at));
        Ok(())
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        let (key, at) = self.pending.take().ok_or_else(|| Error::custom("a value without a key"))?;
        value.serialize(&mut *self.writer)?;
        self.writer.fields.push(Field { key, at: at..self.writer.out.len() });
        Ok(())
    }

    fn close(self) {
        self.writer.sort(self.start + 1, self.first);
        self.writer.out.extend_from_slice(self.closing);
        if self.start > 0 {
            self.writer.fields.truncate(self.first);
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
            self.writer.out.push(b',');
        }
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
                self.writer.out.extend_from_slice(self.closing);
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
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result {
        value.serialize(self)
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
        self.out.push(b'}');
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
