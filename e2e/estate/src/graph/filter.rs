//! The forms of `$filter` that the simulated Graph knows: equality, membership of ids, counts of related objects, and
//! for logs dates and targets.
//!
//! Everything else is refused, as Graph refuses a filter that a property does not support.

use jiff::Timestamp;

use super::reply::GraphError;

/// Most values in one `in (...)`.
const MAX_IN: usize = 15;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clause {
    /// `navigation/$count eq 0` or `ne 0`.
    Count { navigation: String, is: bool, number: usize },
    /// `property in ('a','b')`.
    In { property: String, values: Vec<String> },
    /// `property eq 'a'` or `ne`; booleans as their text.
    Is { property: String, is: bool, value: String },
    /// `property ge 2026-01-01T00:00:00Z` or `le`: not before, or not after.
    Time { property: String, least: bool, instant: Timestamp },
    /// `targets/any(t:t/id eq 'a')`.
    Any { collection: String, property: String, value: String },
}

/// Conditions joined by `and`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) clauses: Vec<Clause>,
}

impl Filter {
    /// Reads a filter.
    pub(crate) fn parse(text: &str) -> Result<Self, GraphError> {
        let clauses = parts(text).into_iter().map(|clause| clause_of(clause.trim())).collect::<Option<Vec<_>>>();
        let clauses = clauses
            .ok_or_else(|| GraphError::unsupported_query("Unsupported or invalid query filter clause specified."))?;
        for clause in &clauses {
            if let Clause::In { property, values } = clause
                && values.len() > MAX_IN
            {
                let message = format!("Too many values for '{property}': at most {MAX_IN} in one filter.");
                return Err(GraphError::unsupported_query(&message));
            }
        }
        Ok(Self { clauses })
    }

    /// Counts and negations need the advanced query mode.
    pub(crate) fn is_advanced(&self) -> bool {
        self.clauses.iter().any(|clause| match clause {
            Clause::Count { .. } => true,
            Clause::Is { is, .. } => !is,
            Clause::In { .. } | Clause::Time { .. } | Clause::Any { .. } => false,
        })
    }
}

/// The conditions of a text; an ` and ` inside quotes joins nothing.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut from) = (Vec::new(), 0);
    for (at, joint) in text.match_indices(" and ") {
        let so_far = text.get(from..at).unwrap_or_default();
        if so_far.matches('\'').count() % 2 == 0 {
            parts.push(so_far);
            from = at + joint.len();
        }
    }
    parts.push(text.get(from..).unwrap_or_default());
    parts
}

fn clause_of(text: &str) -> Option<Clause> {
    if let Some((collection, inner)) = text.split_once("/any(") {
        return any_of(collection, inner.strip_suffix(')')?);
    }
    let (path, rest) = text.split_once(' ')?;
    let rest = rest.trim();
    if let Some(list) = rest.strip_prefix("in").map(str::trim).and_then(|list| list.strip_prefix('(')) {
        let values = list.strip_suffix(')')?.split(',').map(|value| literal(value.trim())).collect::<Option<_>>()?;
        return Some(Clause::In { property: path.to_owned(), values });
    }
    let (operator, value) = rest.split_once(' ')?;
    let is = match operator {
        "eq" => true,
        "ne" => false,
        "ge" | "le" => {
            let instant = value.trim().parse().ok()?;
            return Some(Clause::Time { property: path.to_owned(), least: operator == "ge", instant });
        }
        _ => return None,
    };
    let value = value.trim();
    if let Some(navigation) = path.strip_suffix("/$count") {
        return Some(Clause::Count { navigation: navigation.to_owned(), is, number: value.parse().ok()? });
    }
    let value = match value {
        "true" | "false" => value.to_owned(),
        text => literal(text)?,
    };
    Some(Clause::Is { property: path.to_owned(), is, value })
}

/// `t:t/id eq 'a'`, whatever the variable is called.
fn any_of(collection: &str, inner: &str) -> Option<Clause> {
    let (variable, condition) = inner.split_once(':')?;
    let path = condition.trim().strip_prefix(variable.trim())?.strip_prefix('/')?;
    match clause_of(path)? {
        Clause::Is { property, is: true, value } => {
            Some(Clause::Any { collection: collection.to_owned(), property, value })
        }
        _ => None,
    }
}

fn literal(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let plain = inner.replace("''", "\u{0}");
    (!plain.contains('\'')).then(|| plain.replace('\u{0}', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_forms() {
        let one = |text: &str| Filter::parse(text).unwrap().clauses.remove(0);
        assert_eq!(one("owners/$count eq 0"), Clause::Count { navigation: "owners".to_owned(), is: true, number: 0 });
        assert_eq!(
            one("id in ('a', 'b''c')"),
            Clause::In { property: "id".to_owned(), values: vec!["a".to_owned(), "b'c".to_owned()] }
        );
        assert_eq!(
            one("accountEnabled eq true"),
            Clause::Is { property: "accountEnabled".to_owned(), is: true, value: "true".to_owned() }
        );
        assert_eq!(Filter::parse("name eq 'this and that' and id eq 'a'").unwrap().clauses.len(), 2);
        let instant = "2026-11-01T00:00:00Z".parse().unwrap();
        assert_eq!(
            one("activityDateTime ge 2026-11-01T00:00:00Z"),
            Clause::Time { property: "activityDateTime".to_owned(), least: true, instant }
        );
        assert_eq!(
            one("targetResources/any(t:t/id eq 'a')"),
            Clause::Any { collection: "targetResources".to_owned(), property: "id".to_owned(), value: "a".to_owned() }
        );
        assert_eq!(Filter::parse("id eq 'a' and appId ne 'b'").unwrap().clauses.len(), 2);
    }

    #[test]
    fn unknown_forms() {
        for text in [
            "",
            "id",
            "id eq a",
            "id gt 'a'",
            "id in 'a'",
            "startswith(id,'a')",
            "id eq 'a' or id eq 'b'",
            "id eq 'a'b'",
            "activityDateTime ge 'yesterday'",
            "activityDateTime gt 2026-11-01T00:00:00Z",
            "targetResources/any(t:u/id eq 'a')",
            "targetResources/any(t:t/id ne 'a')",
            "targetResources/any(t:t/id eq 'a'",
        ] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn at_most_fifteen() {
        let list = |count: usize| format!("id in ({})", vec!["'x'"; count].join(","));
        assert!(Filter::parse(&list(15)).is_ok());
        assert!(Filter::parse(&list(16)).is_err());
    }
}
