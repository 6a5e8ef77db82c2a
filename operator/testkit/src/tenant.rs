//! The documents of a small tenant, by the operation that reads them. One line for each: what a new operation reads is
//! one more line.

use std::collections::BTreeMap;

use serde_json::Value;

/// Operation, and what its path is about when the path has a slot.
type Place = (String, Option<String>);

/// The documents.
#[derive(Clone, Debug, Default)]
pub struct Tenant {
    lists: BTreeMap<Place, Vec<Value>>,
    objects: BTreeMap<Place, Value>,
}

impl Tenant {
    /// A tenant without anything: every list is empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// The items of a list.
    #[must_use]
    pub fn list(mut self, operation: &str, items: impl IntoIterator<Item = Value>) -> Self {
        self.lists.insert((operation.to_owned(), None), items.into_iter().collect());
        self
    }

    /// The items of a list that belongs to something.
    #[must_use]
    pub fn list_of(mut self, operation: &str, of: &str, items: impl IntoIterator<Item = Value>) -> Self {
        self.lists.insert((operation.to_owned(), Some(of.to_owned())), items.into_iter().collect());
        self
    }

    /// A single object. Others of the operation are not there: 404.
    #[must_use]
    pub fn object_of(mut self, operation: &str, of: &str, object: Value) -> Self {
        self.objects.insert((operation.to_owned(), Some(of.to_owned())), object);
        self
    }

    /// The only object of an operation.
    #[must_use]
    pub fn the_object(mut self, operation: &str, object: Value) -> Self {
        self.objects.insert((operation.to_owned(), None), object);
        self
    }

    /// Whether an operation gives single objects.
    pub(crate) fn is_single(&self, operation: &str) -> bool {
        self.objects.keys().any(|(id, _)| id == operation)
    }

    pub(crate) fn object(&self, operation: &str, of: Option<&str>) -> Option<&Value> {
        self.objects.get(&(operation.to_owned(), of.map(str::to_owned)))
    }

    pub(crate) fn items(&self, operation: &str, of: Option<&str>) -> &[Value] {
        self.lists.get(&(operation.to_owned(), of.map(str::to_owned))).map_or(&[], Vec::as_slice)
    }
}
