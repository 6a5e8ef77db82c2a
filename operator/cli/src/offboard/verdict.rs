//! What a refused sign-in proves. Takes the operator's word or the vendor's code; gives a verdict that claims no more
//! than that. Pure.

use sv0_api::{ConnectorInstance, conditions};

/// What is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The application has no working identity in the tenant: no credential of it opens anything there.
    Gone(String),
    /// The credential that scans use is refused. Another credential of the application could still work.
    Refused(String),
    /// The sign-in still works.
    StillThere(String),
    /// Neither.
    NotProven(String),
}

impl Verdict {
    /// The verdict in words, with what it does not prove.
    pub fn sentence(&self) -> String {
        const EARLIER: &str = "Access tokens that were issued earlier stay valid until they end, at most about a day.";
        match self {
            Self::Gone(why) => format!("Access is gone: {why}. {EARLIER}"),
            Self::Refused(why) => format!(
                "The sign-in that scans use is refused: {why}. Not proven: that no other credential of the application \
                 works. Remove the application to be sure. {EARLIER}"
            ),
            Self::StillThere(why) => format!("Access is NOT gone: {why}."),
            Self::NotProven(why) => format!("Not proven that access is gone: {why}."),
        }
    }

    /// Whether scans of this cluster are shut out.
    pub const fn shut_out(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::Refused(_))
    }
}

/// By the vendor's code, such as `AADSTS700016`.
pub fn by_code(code: &str) -> Verdict {
    let with = |why: &str| format!("{why} ({code})");
    match code {
        "AADSTS700016" => Verdict::Gone(with("the application is not in the tenant")),
        "AADSTS7000229" => Verdict::Gone(with("the application has no service principal in the tenant")),
        "AADSTS7000112" => Verdict::Gone(with("the application is disabled in the tenant")),
        "AADSTS7000215" => Verdict::Refused(with("the secret is not one of the application's")),
        "AADSTS7000222" => Verdict::Refused(with("the credential's time is over")),
        "AADSTS700027" => Verdict::Refused(with("the certificate is not registered on the application")),
        "AADSTS70021" | "AADSTS700211" | "AADSTS700213" => {
            Verdict::Refused(with("the application does not trust this cluster's account"))
        }
        "AADSTS65001" => Verdict::Refused(with("the consent is not given")),
        _ => Verdict::NotProven(with("Microsoft refused the sign-in for another reason")),
    }
}

/// By the status of an instance, when its last scan began at or after the request.
pub fn by_status(instance: &ConnectorInstance) -> Verdict {
    let Some(status) = &instance.status else {
        return Verdict::NotProven("the instance has no status".to_owned());
    };
    let Some(condition) = conditions::find(&status.conditions, conditions::AUTHENTICATED) else {
        return Verdict::NotProven("no scan has tried to sign in yet".to_owned());
    };
    let last = status.last_scan.as_ref();
    let told = last.and_then(|scan| scan.reason.as_deref());
    if condition.status == conditions::TRUE {
        return signed_in(last.is_some_and(|scan| scan.outcome == "Failed"), told, &status.permissions_missing);
    }
    if condition.status != conditions::FALSE {
        return Verdict::NotProven("the last scan did not get as far as signing in".to_owned());
    }
    if told != Some(condition.reason.as_str()) {
        // A lost or interrupted scan leaves the condition as it was.
        return Verdict::NotProven("the last scan ended for another reason than the refused sign-in".to_owned());
    }
    // One reason stands for several codes, and not all of them are proof. Without a code Microsoft said nothing: the
    // fault is on this side, such as a Secret that was deleted.
    match last.and_then(|scan| scan.vendor_code.as_deref()) {
        Some(code) => by_code(code),
        None => Verdict::NotProven(format!("the scan could not sign in for another reason, {}", condition.reason)),
    }
}

/// The condition says that a sign-in was accepted: by the last scan, unless that ended before it got so far.
fn signed_in(failed: bool, told: Option<&str>, missing: &[String]) -> Verdict {
    match told {
        Some("ConsentRevoked") => Verdict::StillThere(
            "the scan signed in, though all that it asked for was refused: the grants are gone, the application is not"
                .to_owned(),
        ),
        Some(other) if failed && other != "PermissionMissing" => {
            Verdict::NotProven(format!("the last scan ended for another reason, {other}"))
        }
        _ if missing.is_empty() => Verdict::StillThere("the scan signed in and has every permission".to_owned()),
        _ => Verdict::StillThere(format!("the scan signed in, though without {}", missing.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn instance(status: &str, reason: &str, told: (&str, Option<&str>), missing: &[&str]) -> ConnectorInstance {
        serde_json::from_value(json!({
            "apiVersion": "securityv0.com/v1alpha1",
            "kind": "ConnectorInstance",
            "metadata": {"name": "entra", "namespace": "team-a"},
            "spec": {"system": "Entra", "serviceAccountName": "scan-entra"},
            "status": {
                "conditions": [{
                    "type": "Authenticated", "status": status, "reason": reason, "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }],
                "permissionsMissing": missing,
                "lastScan": {
                    "id": "1", "outcome": "Failed", "reason": told.0, "vendorCode": told.1,
                    "trigger": "Requested",
                    "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:00Z",
                },
            },
        }))
        .unwrap()
    }

    #[rstest]
    #[case("AADSTS700016", true, true)]
    #[case("AADSTS7000229", true, true)]
    #[case("AADSTS7000112", true, true)]
    #[case("AADSTS7000215", false, true)]
    #[case("AADSTS700213", false, true)]
    // A wrong audience or a clock that is wrong is a fault of the request, not proof.
    #[case("AADSTS700212", false, false)]
    #[case("AADSTS700024", false, false)]
    #[case("AADSTS90033", false, false)]
    #[case("AADSTS53003", false, false)]
    fn codes(#[case] code: &str, #[case] gone: bool, #[case] shut_out: bool) {
        let verdict = by_code(code);
        assert_eq!((matches!(verdict, Verdict::Gone(_)), verdict.shut_out()), (gone, shut_out));
        assert!(verdict.sentence().contains(code));
    }

    #[rstest]
    #[case("False", "AppNotInTenant", Some("AADSTS700016"), true)]
    #[case("False", "FederationMismatch", Some("AADSTS700213"), true)]
    #[case("False", "FederationMismatch", Some("AADSTS700212"), false)]
    // The Secret was deleted in the cluster: nothing was asked of the other side.
    #[case("False", "CredentialMissing", None, false)]
    #[case("False", "IdentityProviderUnavailable", Some("AADSTS90033"), false)]
    #[case("False", "NetworkNotAllowed", None, false)]
    #[case("Unknown", "AppNotInTenant", Some("AADSTS700016"), false)]
    #[case("True", "SignedIn", None, false)]
    fn conditions_of_an_instance(
        #[case] status: &str,
        #[case] reason: &str,
        #[case] code: Option<&str>,
        #[case] shut_out: bool,
    ) {
        assert_eq!(by_status(&instance(status, reason, (reason, code), &[])).shut_out(), shut_out);
    }

    /// The pod was lost: what the condition says is of an earlier scan.
    #[test]
    fn a_refusal_of_an_earlier_scan_is_no_proof() {
        for condition in [("False", "AppNotInTenant"), ("True", "SignedIn")] {
            let verdict = by_status(&instance(condition.0, condition.1, ("Lost", Some("AADSTS700016")), &[]));
            assert!(matches!(verdict, Verdict::NotProven(_)), "{verdict:?}");
        }
    }

    #[test]
    fn grants_that_are_gone_are_not_an_application_that_is_gone() {
        let verdict = by_status(&instance("True", "SignedIn", ("ConsentRevoked", None), &[]));
        assert!(matches!(&verdict, Verdict::StillThere(why) if why.contains("all that it asked for")), "{verdict:?}");
    }

    #[test]
    fn a_sign_in_without_permissions_is_still_there() {
        let verdict = by_status(&instance("True", "SignedIn", ("PermissionMissing", None), &["Application.Read.All"]));
        assert!(matches!(&verdict, Verdict::StillThere(why) if why.contains("Application.Read.All")), "{verdict:?}");
    }
}
