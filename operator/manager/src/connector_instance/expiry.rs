//! When the credential that scans sign in with ends: said 30 days before, and at the end, by time alone.
//!
//! Pure. A condition of its own, since the sign-in still works: the scan goes on.

use jiff::{SignedDuration, Timestamp};
use sv0_api::ConnectorInstance;
use sv0_api::conditions::{FALSE, TRUE, UNKNOWN};
use sv0_protocol::Reason;

/// So long before its end a credential is said to end.
const WARNING: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What scans sign in with, as far as it can end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Nothing that is kept anywhere.
    #[default]
    Nothing,
    /// A client secret.
    Secret,
    /// A certificate.
    Certificate,
}

impl Stored {
    /// By the spec.
    pub(crate) fn of(instance: &ConnectorInstance) -> Self {
        let auth = instance.spec.entra.as_ref().map(|entra| &entra.auth);
        match auth {
            Some(auth) if auth.client_secret.is_some() => Self::Secret,
            Some(auth) if auth.client_certificate.is_some() => Self::Certificate,
            _ => Self::Nothing,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Nothing | Self::Secret => "client secret",
        }
    }

    const fn renewal(self) -> &'static str {
        match self {
            Self::Certificate => {
                "Register a new certificate on the application and put it, with its key, into the Secret named in spec.entra.auth.clientCertificate"
            }
            Self::Nothing | Self::Secret => {
                "Make a new client secret on the application and put its value into the Secret named in spec.entra.auth.clientSecret"
            }
        }
    }
}

/// What the condition says: status, reason, message.
pub(crate) fn condition(
    stored: Stored,
    ends: Option<Timestamp>,
    now: Timestamp,
) -> (&'static str, &'static str, String) {
    if stored == Stored::Nothing {
        return (
            FALSE,
            "NothingStored",
            "Scans sign in without a stored secret: nothing has to be renewed.".to_owned(),
        );
    }
    let name = stored.name();
    let Some(ends) = ends else {
        let text = format!(
            "When the {name} ends is not known: no scan has seen it yet, or the application has several and which one is used cannot be told."
        );
        return (UNKNOWN, "EndUnknown", text);
    };
    let (day, renewal) = (ends.strftime("%Y-%m-%d %H:%M UTC"), stored.renewal());
    if ends <= now {
        (TRUE, Reason::CredentialExpired.as_str(), format!("The {name} ended on {day}. {renewal}."))
    } else if warned_from(ends) <= now {
        let text = format!("The {name} ends on {day}. {renewal} before that; scans go on until then.");
        (TRUE, Reason::CredentialExpiring.as_str(), text)
    } else {
        (FALSE, "NotSoon", format!("The {name} ends on {day}."))
    }
}

/// When the condition changes next by time alone.
pub(crate) fn next_change(stored: Stored, ends: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let ends = ends.filter(|_| stored != Stored::Nothing)?;
    [warned_from(ends), ends].into_iter().find(|at| *at > now)
}

fn warned_from(ends: Timestamp) -> Timestamp {
    ends.checked_sub(WARNING).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use rstest::rstest;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const ENDS: &str = "2026-07-01T12:00:00Z";

    #[rstest]
    #[case::federation(Stored::Nothing, Some(ENDS), "2026-07-02T00:00:00Z", (FALSE, "NothingStored"), None)]
    #[case::unknown(Stored::Secret, None, "2026-07-02T00:00:00Z", (UNKNOWN, "EndUnknown"), None)]
    #[case::far(Stored::Secret, Some(ENDS), "2026-06-01T11:59:59Z", (FALSE, "NotSoon"), Some("2026-06-01T12:00:00Z"))]
    #[case::thirty_days(Stored::Secret, Some(ENDS), "2026-06-01T12:00:00Z", (TRUE, "CredentialExpiring"), Some(ENDS))]
    #[case::last_second(
        Stored::Certificate,
        Some(ENDS),
        "2026-07-01T11:59:59Z",
        (TRUE, "CredentialExpiring"), Some(ENDS)
    )]
    #[case::ended(Stored::Certificate, Some(ENDS), ENDS, (TRUE, "CredentialExpired"), None)]
    fn by_time_alone(
        #[case] stored: Stored,
        #[case] ends: Option<&str>,
        #[case] now: &str,
        #[case] expected: (&str, &str),
        #[case] next: Option<&str>,
    ) {
        let (ends, now) = (ends.map(at), at(now));
        let said = condition(stored, ends, now);
        assert_eq!((said.0, said.1), expected, "{}", said.2);
        assert_eq!(next_change(stored, ends, now), next.map(at));
    }

    #[test]
    fn the_sentence_names_the_day_and_what_to_do_and_stays_the_same_from_day_to_day() {
        let said = |stored, now: &str| condition(stored, Some(at(ENDS)), at(now)).2;
        let text = said(Stored::Certificate, "2026-06-10T00:00:00Z");
        assert!(text.starts_with("The certificate ends on 2026-07-01 12:00 UTC. Register a new certificate"), "{text}");
        assert!(text.contains("spec.entra.auth.clientCertificate"), "{text}");
        assert_eq!(text, said(Stored::Certificate, "2026-06-29T00:00:00Z"));
        assert!(said(Stored::Secret, "2026-08-01T00:00:00Z").contains("ended on 2026-07-01"));
    }

    #[rstest]
    #[case(r#"{"workloadIdentity": {}}"#, Stored::Nothing)]
    #[case(r#"{"managedIdentity": {}}"#, Stored::Nothing)]
    #[case(r#"{"federatedManagedIdentity": {"managedIdentityClientId": "x"}}"#, Stored::Nothing)]
    #[case(r#"{"clientSecret": {"secretName": "sv0-x"}}"#, Stored::Secret)]
    #[case(r#"{"clientCertificate": {"secretName": "sv0-x"}}"#, Stored::Certificate)]
    fn what_is_stored_follows_from_the_way_to_sign_in(#[case] auth: &str, #[case] expected: Stored) {
        assert_eq!(Stored::of(&testing::instance(auth)), expected);
    }
}
