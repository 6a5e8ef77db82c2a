//! OData query options: read strictly, refused where Graph refuses them.

use http::StatusCode;

use super::filter::{Clause, Filter};
use super::reply::GraphError;
use super::route::{Route, Set};

/// Largest `$top`.
const MAX_TOP: usize = 999;

/// `$expand=navigation($select=...)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expand {
    pub(crate) navigation: String,
    pub(crate) select: Option<Vec<String>>,
}

/// The query of one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) select: Option<Vec<String>>,
    pub(crate) top: Option<usize>,
    pub(crate) expand: Option<Expand>,
    pub(crate) filter: Option<Filter>,
    pub(crate) count: bool,
    /// `$orderby` of logs: whether the oldest is first.
    pub(crate) oldest_first: Option<bool>,
    pub(crate) skip_token: Option<String>,
    /// The query without its page token, as it was sent: the next link repeats it.
    pub(crate) raw: String,
}

impl Options {
    /// Reads a query string.
    pub(crate) fn parse(query: &str) -> Result<Self, GraphError> {
        let mut options = Self::default();
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((key, value)) = url::form_urlencoded::parse(pair.as_bytes()).next() else { continue };
            if seen.contains(&key) {
                return Err(GraphError::bad_request(&format!("Query option '{key}' was specified more than once.")));
            }
            options.set(&key, &value)?;
            if key != "$skiptoken" {
                options.raw.push_str(if options.raw.is_empty() { "" } else { "&" });
                options.raw.push_str(pair);
            }
            seen.push(key);
        }
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), GraphError> {
        match key {
            "$select" => self.select = Some(names(value)?),
            "$top" => self.top = Some(top(value)?),
            "$expand" => self.expand = Some(expand(value)?),
            "$filter" => self.filter = Some(Filter::parse(value)?),
            "$count" => self.count = boolean(value)?,
            "$orderby" => self.oldest_first = Some(order(value)?),
            "$skiptoken" => self.skip_token = Some(value.to_owned()),
            _ => {
                let message = format!("The query parameter '{key}' is not supported.");
                return Err(GraphError::bad_request(&message));
            }
        }
        Ok(())
    }

    /// Refuses what the route or the missing `ConsistencyLevel` header does not allow.
    pub(crate) fn check(&self, route: &Route, eventual: bool) -> Result<(), GraphError> {
        let lists_only = self.top.is_some() || self.filter.is_some() || self.count || self.skip_token.is_some();
        if lists_only && (!route.is_list() || matches!(route, Route::GetByIds)) {
            return Err(GraphError::bad_request("Paging and filtering are not possible on a single object."));
        }
        if let Some(top) = self.top.filter(|top| *top > route.max_top()) {
            return Err(page_size(&top.to_string(), route.max_top()));
        }
        if self.oldest_first.is_some() && !matches!(route, Route::DirectoryAudits) {
            return Err(GraphError::unsupported_query("Sorting is not supported for this query."));
        }
        let advanced = self.count || self.filter.as_ref().is_some_and(Filter::is_advanced);
        if advanced && !route.is_directory_list() {
            return Err(GraphError::unsupported_query("$count and advanced filters are not supported here."));
        }
        if (advanced || route.is_always_advanced()) && (!eventual || !self.count) {
            let message = "Request with $count, an advanced $filter or an OData cast needs the ConsistencyLevel header set to eventual and $count=true.";
            return Err(GraphError::unsupported_query(message));
        }
        let Some(expand) = &self.expand else { return Ok(()) };
        if advanced {
            return Err(GraphError::unsupported_query("$expand is not supported together with advanced queries."));
        }
        let allowed: &[&str] = match route {
            Route::List(Set::Applications) | Route::Item(Set::Applications, _) => {
                &["owners", "federatedIdentityCredentials"]
            }
            Route::List(Set::ServicePrincipals) | Route::Item(Set::ServicePrincipals, _) => {
                &["owners", "appRoleAssignments"]
            }
            Route::RoleAssignments => &["principal"],
            _ => &[],
        };
        if allowed.contains(&expand.navigation.as_str()) {
            return Ok(());
        }
        Err(GraphError::bad_request(&format!(
            "Could not find a navigation property named '{}' here.",
            expand.navigation
        )))
    }

    pub(crate) fn selects(&self, property: &str) -> bool {
        self.select.as_ref().is_some_and(|names| names.iter().any(|name| name == property))
    }

    /// Whether the filter asks for a count of related objects.
    pub(crate) fn clauses(&self) -> &[Clause] {
        self.filter.as_ref().map_or(&[], |filter| filter.clauses.as_slice())
    }
}

fn names(value: &str) -> Result<Vec<String>, GraphError> {
    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(|name| name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
        return Err(GraphError::bad_request("Parsing OData Select and Expand failed: Term is not valid in a $select."));
    }
    Ok(names)
}

fn top(value: &str) -> Result<usize, GraphError> {
    value.parse().ok().filter(|top| (1..=MAX_TOP).contains(top)).ok_or_else(|| page_size(value, MAX_TOP))
}

fn page_size(value: &str, most: usize) -> GraphError {
    let message = format!("Invalid page size specified: '{value}'. Must be between 1 and {most} inclusive.");
    GraphError::new(StatusCode::BAD_REQUEST, "Request_BadRequest", &message)
}

fn order(value: &str) -> Result<bool, GraphError> {
    match value {
        "activityDateTime" | "activityDateTime asc" => Ok(true),
        "activityDateTime desc" => Ok(false),
        _ => Err(GraphError::unsupported_query("Sorting is not supported for this property.")),
    }
}

fn boolean(value: &str) -> Result<bool, GraphError> {
    value.parse().map_err(|_| GraphError::bad_request("Invalid value for $count: use true or false."))
}

fn expand(value: &str) -> Result<Expand, GraphError> {
    let bad = || GraphError::bad_request("Parsing OData Select and Expand failed.");
    let (navigation, inner) = match value.split_once('(') {
        Some((navigation, inner)) => (navigation, Some(inner.strip_suffix(')').ok_or_else(bad)?)),
        None => (value, None),
    };
    if navigation.contains(',') || inner.is_some_and(|inner| inner.contains(')')) {
        return Err(GraphError::bad_request("Only one property can be expanded in a single query."));
    }
    let select = match inner {
        Some(inner) => Some(names(inner.strip_prefix("$select=").ok_or_else(bad)?)?),
        None => None,
    };
    Ok(Expand { navigation: navigation.trim().to_owned(), select })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_plan_sends() {
        let query = "$select=id&$expand=owners($select=id,userPrincipalName)&$top=250&$skiptoken=abc";
        let options = Options::parse(query).unwrap();
        assert_eq!(options.top, Some(250));
        assert_eq!(options.skip_token.as_deref(), Some("abc"));
        assert_eq!(options.raw, "$select=id&$expand=owners($select=id,userPrincipalName)&$top=250");
        let expand = options.expand.unwrap();
        assert_eq!(expand.navigation, "owners");
        assert_eq!(expand.select.unwrap(), ["id", "userPrincipalName"]);
        assert!(Options::parse("%24select=id%2CappId&%24top=5").unwrap().selects("appId"));
    }

    #[test]
    fn refuses_what_graph_refuses() {
        for query in [
            "$top=0",
            "$top=1000",
            "$top=x",
            "$foo=1",
            "top=5",
            "$select=id&$select=appId",
            "$select=",
            "$count=maybe",
            "$expand=owners,appRoleAssignments",
            "$expand=owners($select=id),x($select=id)",
            "$expand=owners(",
            "$orderby=id",
            "$filter=startswith(displayName,'a')",
        ] {
            assert!(Options::parse(query).is_err(), "{query}");
        }
    }

    #[test]
    fn advanced_queries_need_their_header() {
        let list = Route::List(Set::Applications);
        let counted = Options::parse("$filter=owners/$count eq 0&$count=true").unwrap();
        assert!(counted.check(&list, false).is_err());
        assert!(counted.check(&list, true).is_ok());
        let uncounted = Options::parse("$filter=owners/$count eq 0").unwrap();
        assert!(uncounted.check(&list, true).is_err());
        let both = Options::parse("$count=true&$expand=owners").unwrap();
        assert!(both.check(&list, true).is_err());
        assert!(Options::parse("$count=true").unwrap().check(&Route::RoleAssignments, true).is_err());
    }
}
