//! Reads an instance as the manager needs it. The API server has checked the schema, but an object may be older than
//! the schema: what does not hold is `InvalidConfiguration`, never a panic and never a guess.
//!
//! Pure.

use sv0_api::{ConnectorInstance, EntraAuth, EntraSource};
use sv0_protocol::{Reason, names};

/// An instance whose every needed part is present.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Valid<'a> {
    pub(crate) instance: &'a ConnectorInstance,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) entra: &'a EntraSource,
    /// How the scan signs in.
    pub(crate) sign_in: SignIn<'a>,
}

/// How a scan signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignIn<'a> {
    WorkloadIdentity,
    /// With the client ID of the managed identity.
    FederatedManagedIdentity(&'a str),
    ManagedIdentity,
    /// With the name of the Secret.
    ClientCertificate(&'a str),
    /// With the name of the Secret.
    ClientSecret(&'a str),
}

impl SignIn<'_> {
    /// Whether the node's metadata endpoint has to be asked.
    pub(crate) const fn asks_the_node(self) -> bool {
        matches!(self, Self::ManagedIdentity | Self::FederatedManagedIdentity(_))
    }
}

/// What an administrator has to change before a scan may ask its node. The chart says why it is a decision.
pub(crate) const NODE_CLOSED: &str = "This way to sign in needs the node's metadata endpoint, which is closed to scans. Have the administrator of the operator set the chart's value scan.allowMetadataEndpoint to true (possible with exactly one estate), or use workloadIdentity.";

/// Checks and unpacks.
pub(crate) fn validate(instance: &ConnectorInstance) -> Result<Valid<'_>, Reason> {
    let metadata = &instance.metadata;
    let part = |text: &'_ Option<String>| text.is_some();
    if !(part(&metadata.namespace) && part(&metadata.name) && part(&metadata.uid)) {
        return Err(Reason::InvalidConfiguration);
    }
    let entra = instance.spec.entra.as_ref().ok_or(Reason::InvalidConfiguration)?;
    let sign_in = sign_in(&entra.auth).ok_or(Reason::InvalidConfiguration)?;
    if instance.spec.service_account_name.is_empty() || instance.spec.service_account_name == "default" {
        return Err(Reason::ServiceAccountNotAllowed);
    }
    Ok(Valid {
        instance,
        namespace: metadata.namespace.as_deref().unwrap_or_default(),
        name: metadata.name.as_deref().unwrap_or_default(),
        uid: metadata.uid.as_deref().unwrap_or_default(),
        entra,
        sign_in,
    })
}

/// The only member of the union; none when there is not exactly one, or when it names a Secret that is not ours to use.
fn sign_in(auth: &EntraAuth) -> Option<SignIn<'_>> {
    let members = [
        auth.workload_identity.as_ref().map(|_| SignIn::WorkloadIdentity),
        auth.federated_managed_identity
            .as_ref()
            .map(|federated| SignIn::FederatedManagedIdentity(&federated.managed_identity_client_id)),
        auth.managed_identity.as_ref().map(|_| SignIn::ManagedIdentity),
        auth.client_certificate.as_ref().map(|certificate| SignIn::ClientCertificate(&certificate.secret_name)),
        auth.client_secret.as_ref().map(|secret| SignIn::ClientSecret(&secret.secret_name)),
    ];
    let mut present = members.into_iter().flatten();
    let only = present.next().filter(|_| present.next().is_none())?;
    match only {
        SignIn::ClientCertificate(secret) | SignIn::ClientSecret(secret)
            if !secret.starts_with(names::SECRET_PREFIX) =>
        {
            None
        }
        only => Some(only),
    }
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
    #[case::foreign_certificate(
        r#"{"clientCertificate": {"secretName": "webhook-tls"}}"#,
        Reason::InvalidConfiguration
    )]
    #[case::two_without_a_secret(r#"{"workloadIdentity": {}, "managedIdentity": {}}"#, Reason::InvalidConfiguration)]
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

    #[rstest]
    #[case(r#"{"workloadIdentity": {}}"#, SignIn::WorkloadIdentity, false)]
    #[case(
        r#"{"federatedManagedIdentity": {"managedIdentityClientId": "id"}}"#,
        SignIn::FederatedManagedIdentity("id"),
        true
    )]
    #[case(r#"{"managedIdentity": {}}"#, SignIn::ManagedIdentity, true)]
    #[case(r#"{"clientCertificate": {"secretName": "sv0-entra"}}"#, SignIn::ClientCertificate("sv0-entra"), false)]
    #[case(r#"{"clientSecret": {"secretName": "sv0-entra"}}"#, SignIn::ClientSecret("sv0-entra"), false)]
    fn good(#[case] auth: &str, #[case] expected: SignIn<'_>, #[case] asks_the_node: bool) {
        let instance = testing::instance(auth);
        let sign_in = validate(&instance).unwrap().sign_in;
        assert_eq!((sign_in, sign_in.asks_the_node()), (expected, asks_the_node));
    }
}
