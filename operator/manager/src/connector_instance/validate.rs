//! Reads an instance as the manager needs it. The API server has checked the schema, but an object may be older than
//! the schema: what does not hold is `InvalidConfiguration`, never a panic and never a guess.
//!
//! Pure.

use sv0_api::{ConnectorInstance, EntraSource};
use sv0_protocol::{Reason, names};

/// An instance whose every needed part is present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Valid<'a> {
    pub(crate) instance: &'a ConnectorInstance,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) entra: &'a EntraSource,
    /// The Secret to mount; none for workload identity.
    pub(crate) secret: Option<&'a str>,
}

/// Checks and unpacks.
pub(crate) fn validate(instance: &ConnectorInstance) -> Result<Valid<'_>, Reason> {
    let metadata = &instance.metadata;
    let part = |text: &'_ Option<String>| text.is_some();
    if !(part(&metadata.namespace) && part(&metadata.name) && part(&metadata.uid)) {
        return Err(Reason::InvalidConfiguration);
    }
    let entra = instance.spec.entra.as_ref().ok_or(Reason::InvalidConfiguration)?;
    let secret = match (&entra.auth.workload_identity, &entra.auth.client_secret) {
        (Some(_), None) => None,
        (None, Some(secret)) if secret.secret_name.starts_with(names::SECRET_PREFIX) => {
            Some(secret.secret_name.as_str())
        }
        _ => return Err(Reason::InvalidConfiguration),
    };
    if instance.spec.service_account_name.is_empty() || instance.spec.service_account_name == "default" {
        return Err(Reason::ServiceAccountNotAllowed);
    }
    Ok(Valid {
        instance,
        namespace: metadata.namespace.as_deref().unwrap_or_default(),
        name: metadata.name.as_deref().unwrap_or_default(),
        uid: metadata.uid.as_deref().unwrap_or_default(),
        entra,
        secret,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use rstest::rstest;

    #[rstest]
    #[case::none("{}", Reason::InvalidConfiguration)]
    #[case::both(r#"{"workloadIdentity": {}, "clientSecret": {"secretName": "sv0-x"}}"#, Reason::InvalidConfiguration)]
    #[case::foreign_secret(r#"{"clientSecret": {"secretName": "database-password"}}"#, Reason::InvalidConfiguration)]
    fn refused(#[case] auth: &str, #[case] expected: Reason) {
        assert_eq!(validate(&testing::instance(auth)).err(), Some(expected));
    }

    #[test]
    fn the_default_account_is_refused() {
        let mut instance = testing::instance(r#"{"workloadIdentity": {}}"#);
        instance.spec.service_account_name = "default".to_owned();
        assert_eq!(validate(&instance).err(), Some(Reason::ServiceAccountNotAllowed));
    }

    #[test]
    fn no_source_block() {
        let mut instance = testing::instance(r#"{"workloadIdentity": {}}"#);
        instance.spec.entra = None;
        assert_eq!(validate(&instance).err(), Some(Reason::InvalidConfiguration));
    }

    #[test]
    fn good() {
        let instance = testing::instance(r#"{"clientSecret": {"secretName": "sv0-entra"}}"#);
        assert_eq!(validate(&instance).unwrap().secret, Some("sv0-entra"));
    }
}
