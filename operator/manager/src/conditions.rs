//! From reasons to sentences: what a person is told to change. Every reason has one; no vendor text ever enters.
//!
//! Pure.

use sv0_protocol::Reason;

/// What is wrong and what to change, in one sentence or two.
#[allow(clippy::too_many_lines, reason = "one line for each reason: a table, not a procedure")]
pub const fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::CredentialInvalid => {
            "The source system does not accept the client secret. Put a current secret value (not its ID) into the Secret, or use workload identity."
        }
        Reason::CredentialExpired => {
            "The client secret or certificate has expired. Create a new one at the source system and put it into the Secret, or use workload identity."
        }
        Reason::CredentialMissing => {
            "The Secret named in spec.entra.auth, its key 'target', or its key 'clientSecret' ('tls.crt' and 'tls.key' for a certificate), does not exist. Create it in this namespace."
        }
        Reason::CertificateNotRegistered => {
            "The certificate is not registered on the application. Upload its public part to the application, or configure another certificate."
        }
        Reason::CertificateUnreadable => {
            "The Secret's 'tls.crt' and 'tls.key' cannot be used: one is unreadable or encrypted, the key is not RSA, or the two do not belong together. Put a PEM certificate and its own PEM key into the Secret."
        }
        Reason::CredentialExpiring => {
            "The client secret or certificate ends within 30 days; status.credentialExpiresAt says when. Create a new one in time and put it into the Secret, or use workload identity."
        }
        Reason::AssertionTimeInvalid => {
            "By the clock used, the token's or certificate's time has not come yet or is over. Synchronise the clocks of the cluster's nodes, or use a certificate that is already valid."
        }
        Reason::TenantNotFound => {
            "The source system knows no such tenant. Check the tenant ID; it cannot be changed here, so create a new ConnectorInstance with the right one."
        }
        Reason::TenantIdMalformed => {
            "The tenant ID is not one. Check it (a GUID); it cannot be changed here, so create a new ConnectorInstance with the right one."
        }
        Reason::TenantRestricted => {
            "The tenant restricts who may sign in to it, and this application is not among them. Have an administrator of the tenant allow it in the tenant's access restrictions."
        }
        Reason::AppNotInTenant => {
            "The application is not present in the tenant. Check clientId, or register the application in this tenant."
        }
        Reason::AppDisabled => {
            "The application is disabled in the tenant. Enable it, or name another application in clientId."
        }
        Reason::ServicePrincipalMissing => {
            "The application has no service principal in the tenant: it was removed or consent was revoked. Grant admin consent again."
        }
        Reason::ConsentRequired => {
            "Consent has not been given for the application. Have an administrator of the tenant grant it."
        }
        Reason::ConsentDrifted => {
            "What is granted to the application is not what was accepted. Look at status.consent; undo the change at the source system, or set spec.acceptedConsent to status.consent.digest."
        }
        Reason::ConsentRevoked => {
            "Nothing of what was granted to the application is left, or its service principal was removed. Grant admin consent again, or delete this ConnectorInstance."
        }
        Reason::FederationMismatch => {
            "No federated credential of the application matches this ServiceAccount. Set issuer to the cluster's issuer, subject to system:serviceaccount:<namespace>:<serviceAccountName>, and audience as documented."
        }
        Reason::FederationIssuerUnreachable => {
            "The source system cannot fetch the cluster's issuer keys. Publish the issuer's discovery document and keys at an address reachable from the internet."
        }
        Reason::IdentityBindingUnsupported => {
            "The cluster exchanges tokens through a proxy of its own (AKS identity bindings), which is not supported. Use a federated credential for the cluster's issuer, without identity bindings for this ServiceAccount."
        }
        Reason::ManagedIdentityNotAssigned => {
            "The platform did not attach this managed identity to the node or workload. Check the identity's client ID, and that it is assigned where the scan runs."
        }
        Reason::ManagedIdentityUnreachable => {
            "The metadata endpoint does not give a token for the managed identity. Check that the scan runs on Azure and that network policies allow the endpoint; the scan is tried again."
        }
        Reason::WrongCloud => {
            "The tenant lives in another of the vendor's clouds. Create a new ConnectorInstance with the right value of cloud."
        }
        Reason::ResourceNotInTenant => {
            "The API that is to be read does not exist in the tenant. Check cloud, and that the tenant is provisioned for this API."
        }
        Reason::BlockedByConditionalAccess => {
            "A conditional access policy for workload identities refuses the sign-in. Allow the cluster's outbound addresses for this application."
        }
        Reason::AuthThrottled => {
            "The identity provider throttles sign-ins. Nothing needs to change: the scan is tried again later."
        }
        Reason::IdentityProviderUnavailable => {
            "The identity provider does not answer properly. Nothing needs to change: the scan is tried again later."
        }
        Reason::AuthenticationFailed => {
            "Sign-in failed; the vendor's code is in status.lastScan.vendorCode. Check the application, its credential and its consent."
        }
        Reason::TokenRejected => {
            "The source system's API refuses the token that its own identity provider issued. Check that the application was not changed or blocked; the scan is tried again."
        }
        Reason::PermissionMissing => {
            "A permission is not granted. Grant the permissions listed in status.permissionsMissing and give admin consent."
        }
        Reason::LicenseMissing => {
            "The tenant's licence does not include some of the data. Add the licence, or accept that these collections stay unread."
        }
        Reason::NotInThisCloud => {
            "The vendor does not offer this data in the tenant's cloud. Nothing needs to change: what depends on it is not judged here."
        }
        Reason::TargetMismatch => {
            "The Secret's key 'target' does not name the tenant in the spec. Use the Secret that belongs to this tenant, or correct the key."
        }
        Reason::ForeignTenant => {
            "The tenant that answered is not the tenant in the spec. Check tenantId and clientId; nothing was stored."
        }
        Reason::NotAnEstate => {
            "This namespace is not an estate, so nothing is scanned here. Add it to 'estates' in the chart's values, or create the resource in an estate."
        }
        Reason::EstateFull => {
            "The estate has 256 older ConnectorInstances, and one evaluation takes no more, so this one is not scanned. Create it in another estate, or delete one that is no longer needed."
        }
        Reason::EstateTooLarge => {
            "The estate has more findings than one evaluation can store. Create the instance with most of them, which the Estate's condition names, in an estate of its own."
        }
        Reason::InvalidSchedule => "The schedule can never fire. Correct spec.schedule, spec.timeZone or spec.jitter.",
        Reason::InvalidConfiguration => {
            "The spec cannot be carried out as written. Compare it with the samples and correct it."
        }
        Reason::ServiceAccountMissing => {
            "The ServiceAccount in spec.serviceAccountName does not exist. Create it in this namespace with the label securityv0.com/scan: \"true\"."
        }
        Reason::ServiceAccountNotAllowed => {
            "The ServiceAccount in spec.serviceAccountName is not meant for scans. Label it securityv0.com/scan: \"true\", or name another one."
        }
        Reason::QuotaExceeded => {
            "A ResourceQuota of the namespace leaves no room for the pod. Raise the quota or free some of it."
        }
        Reason::PodRefused => {
            "The cluster refused the Job's pod. Look at the events of the namespace and at its admission policies and limits, and allow the pod."
        }
        Reason::ImagePullFailed => {
            "The operator's image cannot be pulled. Correct 'image' or 'imagePullSecrets' in the chart's values, or make the registry reachable."
        }
        Reason::Unschedulable => {
            "No node takes the pod. Add room, or adjust the resources, nodeSelector and tolerations for scan pods in the chart's values."
        }
        Reason::Lost => {
            "The pod vanished before it could report: it was deleted, evicted or ran out of memory. The scan is tried again; if this repeats, raise the memory limit of scan pods."
        }
        Reason::DeadlineExceeded => {
            "The scan did not end before its deadline. Raise spec.limits.deadlineSeconds, within the operator's own limit."
        }
        Reason::ReportUnreadable => {
            "The pod ended without a report that can be believed. Check that nothing else writes into the operator's pods; the scan is tried again."
        }
        Reason::RateLimited => {
            "The source system throttles. Nothing needs to change; if this repeats, scan less often or raise the limit at the source system."
        }
        Reason::UpstreamUnavailable => {
            "The source system's API cannot be reached or fails. Check that the estate's pods may reach it (network policy, proxy); the scan is tried again."
        }
        Reason::NetworkNotAllowed => {
            "An address is private or forbidden. List the host in 'network.privateHosts' of the chart's values if that is intended; for a managed identity, set 'scan.allowMetadataEndpoint' there."
        }
        Reason::ResponseRefused => {
            "The source system's answer broke a bound (size, pages, redirect or origin) and was not used. Check what stands between the cluster and the source system."
        }
        Reason::ResponseMalformed => {
            "The source system's answer could not be understood and was not used. The scan is tried again; if this repeats, check proxies on the way."
        }
        Reason::LastPageLost => {
            "A list ended before its end, so it counts as incomplete. Nothing needs to change: the next scan reads it again."
        }
        Reason::CollectionNotAccepted => {
            "A newer collection revision is not accepted. Read what it adds and raise spec.acceptedCollectionRevision to switch it on."
        }
        Reason::PartialCoverage => {
            "Some collections are incomplete; status.coverage.gaps names them, and what would close each gap."
        }
        Reason::StoreUnavailable => {
            "The operator's store cannot be reached or refuses. Check the StatefulSet securityv0-store and the network policies; the scan is tried again."
        }
        Reason::StoreFull => {
            "The store has no room left for this instance. Enlarge its volume or quota, or keep fewer snapshots."
        }
        Reason::Suspended => {
            "Suspended by spec.suspend. Set it to false to scan again; findings stay as they are until then."
        }
        Reason::InternalError => {
            "The operator failed in a way that is its own fault. The work is tried again; if this repeats, report it with the pod's log."
        }
    }
}

/// The sentence with the vendor's code behind it. `code` has been checked to be one short word.
pub fn message(reason: Reason, code: Option<&str>) -> String {
    code.map_or_else(|| sentence(reason).to_owned(), |code| format!("{} ({code})", sentence(reason)))
}

/// Reasons that say: the sign-in itself did not work.
pub const fn is_sign_in(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::CredentialInvalid
            | Reason::CredentialExpired
            | Reason::CredentialMissing
            | Reason::CertificateNotRegistered
            | Reason::CertificateUnreadable
            | Reason::AssertionTimeInvalid
            | Reason::TenantNotFound
            | Reason::TenantIdMalformed
            | Reason::TenantRestricted
            | Reason::AppNotInTenant
            | Reason::AppDisabled
            | Reason::ServicePrincipalMissing
            | Reason::ConsentRequired
            | Reason::ConsentRevoked
            | Reason::FederationMismatch
            | Reason::FederationIssuerUnreachable
            | Reason::IdentityBindingUnsupported
            | Reason::ManagedIdentityNotAssigned
            | Reason::ManagedIdentityUnreachable
            | Reason::WrongCloud
            | Reason::ResourceNotInTenant
            | Reason::BlockedByConditionalAccess
            | Reason::AuthenticationFailed
            | Reason::TokenRejected
            | Reason::TargetMismatch
    )
}

/// Reasons in the cluster that repeat until a person changes something, although trying again is harmless.
pub const fn is_cluster_setup(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ServiceAccountMissing
            | Reason::ServiceAccountNotAllowed
            | Reason::QuotaExceeded
            | Reason::PodRefused
            | Reason::ImagePullFailed
            | Reason::Unschedulable
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Something to do, or the explicit word that nothing is to be done.
    const ACTS: [&str; 30] = [
        "Put ",
        "Create ",
        "Upload ",
        "Synchronise ",
        "Check ",
        "Enable ",
        "Grant ",
        "Have ",
        "Set ",
        "Publish ",
        "Allow ",
        "Nothing needs",
        "Add ",
        "Use ",
        "Correct ",
        "Compare ",
        "Label ",
        "Raise ",
        "Look ",
        "List ",
        "Read ",
        "Enlarge ",
        "allow ",
        "raise ",
        "create ",
        "report ",
        "names them",
        "check ",
        "correct",
        "Adjust ",
    ];

    #[test]
    fn every_reason_has_its_own_sentence_that_says_what_to_do() {
        let mut seen = BTreeSet::new();
        for reason in Reason::ALL {
            let text = sentence(*reason);
            assert!(text.ends_with('.') && text.len() > 40, "{reason}: not a sentence");
            assert!(text.len() < 260, "{reason}: {} characters do not fit a terminal", text.len());
            assert!(ACTS.iter().any(|act| text.contains(act)), "{reason}: says nothing about what to change");
            assert!(seen.insert(text), "{reason}: shares its sentence with another reason");
        }
        assert_eq!(seen.len(), Reason::ALL.len());
    }

    #[test]
    fn the_vendor_code_stands_behind_the_sentence() {
        let text = message(Reason::CredentialInvalid, Some("AADSTS7000215"));
        assert!(text.ends_with("(AADSTS7000215)"));
        assert_eq!(message(Reason::Lost, None), sentence(Reason::Lost));
    }
}
