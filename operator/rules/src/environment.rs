//! Which environment something belongs to, by the customer's own declaration: takes the declared environments and what
//! is known of a place, gives the environment or nothing.
//!
//! The nearest declaration counts: an object before the scope that holds it, that before a declared pattern of names, and
//! that before the tenant. Where two declarations of the same nearness say opposite things nothing is said. A name means
//! nothing unless the customer declared the pattern that it follows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::derive::follows;

/// One environment, as the customer declared it. Identifiers are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Environment {
    /// Whether it is a production environment.
    pub production: bool,
    /// Tenants, accounts, organisations and instances, by the source system's id.
    pub tenants: BTreeSet<String>,
    /// Scopes, by the source system's id, with all that lies below them.
    pub scopes: BTreeSet<String>,
    /// Identities, applications and resources, by object id or application id.
    pub objects: BTreeSet<String>,
    /// Names of identities and resources; `*` stands for any text.
    pub name_patterns: BTreeSet<String>,
}

/// What is known of where something is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place<'a> {
    /// Ids of the thing itself.
    pub(crate) objects: Vec<&'a str>,
    pub(crate) scope: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) tenant: &'a str,
}

/// How a declaration names a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Object,
    Scope,
    Name,
    Tenant,
}

impl By {
    /// From the nearest to the farthest.
    const ALL: [Self; 4] = [Self::Object, Self::Scope, Self::Name, Self::Tenant];

    /// To end a sentence with: declared `by its object id`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Object => "by its id",
            Self::Scope => "by its scope",
            Self::Name => "by the pattern of its name",
            Self::Tenant => "by its tenant",
        }
    }

    /// The field of the declaration.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::Object => "spec.environments.objects",
            Self::Scope => "spec.environments.scopes",
            Self::Name => "spec.environments.namePatterns",
            Self::Tenant => "spec.environments.tenants",
        }
    }
}

/// The environment of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label<'a> {
    pub(crate) name: &'a str,
    pub(crate) production: bool,
    pub(crate) by: By,
    /// What of the place the declaration names.
    pub(crate) named: &'a str,
}

/// The environment of `place`. None when no declaration names it, and when the nearest ones contradict each other.
pub(crate) fn of<'a>(declared: &'a BTreeMap<String, Environment>, place: &Place<'a>) -> Option<Label<'a>> {
    By::ALL.into_iter().find_map(|by| {
        let labels: Vec<Label<'a>> = declared
            .iter()
            .filter_map(|(name, environment)| {
                let named = matched(environment, place, by)?;
                Some(Label { name: name.as_str(), production: environment.production, by, named })
            })
            .collect();
        let first = *labels.first()?;
        Some(labels.iter().all(|label| label.production == first.production).then_some(first))
    })?
}

fn matched<'a>(environment: &Environment, place: &Place<'a>, by: By) -> Option<&'a str> {
    match by {
        By::Object => place.objects.iter().copied().find(|id| holds(&environment.objects, id)),
        By::Scope => place.scope.filter(|scope| environment.scopes.iter().any(|outer| within(outer, scope))),
        By::Name => place.name.filter(|name| environment.name_patterns.iter().any(|pattern| follows(pattern, name))),
        By::Tenant => Some(place.tenant).filter(|tenant| holds(&environment.tenants, tenant)),
    }
}

fn holds(ids: &BTreeSet<String>, id: &str) -> bool {
    ids.iter().any(|known| known.eq_ignore_ascii_case(id))
}

/// Whether `inner` is `outer` or a path below it.
pub(crate) fn within(outer: &str, inner: &str) -> bool {
    let outer = outer.strip_suffix('/').unwrap_or(outer);
    let Some((start, rest)) = inner.split_at_checked(outer.len()) else { return false };
    !outer.is_empty() && start.eq_ignore_ascii_case(outer) && (rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn declared() -> BTreeMap<String, Environment> {
        let dev = Environment {
            objects: set(&["OBJ-1", "obj-3"]),
            scopes: set(&["/subscriptions/DEV"]),
            name_patterns: set(&["dev-*"]),
            ..Environment::default()
        };
        let prod = Environment {
            production: true,
            tenants: set(&["tenant"]),
            scopes: set(&["/subscriptions/prod/"]),
            objects: set(&["obj-3"]),
            ..Environment::default()
        };
        BTreeMap::from([("dev".to_owned(), dev), ("prod".to_owned(), prod)])
    }

    fn place<'a>(object: &'a str, scope: Option<&'a str>, name: Option<&'a str>) -> Place<'a> {
        Place { objects: vec![object], scope, name, tenant: "tenant" }
    }

    #[rstest]
    #[case::tenant(place("x", None, None), Some(("prod", By::Tenant)))]
    #[case::object_before_tenant(place("obj-1", None, None), Some(("dev", By::Object)))]
    #[case::scope_before_tenant(place("x", Some("/subscriptions/dev/resourceGroups/a"), None), Some(("dev", By::Scope)))]
    #[case::another_scope(place("x", Some("/subscriptions/devil"), None), Some(("prod", By::Tenant)))]
    #[case::scope_with_a_slash(place("x", Some("/subscriptions/prod"), None), Some(("prod", By::Scope)))]
    #[case::declared_pattern(place("x", None, Some("dev-robot")), Some(("dev", By::Name)))]
    #[case::name_without_a_pattern(place("x", None, Some("my-dev-robot")), Some(("prod", By::Tenant)))]
    #[case::contradiction(place("obj-3", None, None), None)]
    fn the_nearest_declaration_counts(#[case] place: Place<'_>, #[case] expected: Option<(&str, By)>) {
        let all = declared();
        assert_eq!(of(&all, &place).map(|label| (label.name, label.by)), expected);
    }

    #[test]
    fn nothing_declared_says_nothing() {
        assert_eq!(of(&BTreeMap::new(), &place("x", None, Some("dev-1"))), None);
        let elsewhere = Place { tenant: "another", ..Place::default() };
        assert_eq!(of(&declared(), &elsewhere), None);
    }
}
