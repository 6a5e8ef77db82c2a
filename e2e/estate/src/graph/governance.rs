//! Groups, agents, eligible and activated roles, delegated grants and licences as Graph writes them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::render::{long_time, time};
use crate::estate::Estate;
use crate::spec::{
    CredentialPolicy, DelegatedGrant, EligibleRole, Group, RoleAssignment, ServicePlan, ServicePrincipal,
};

/// A subscription of the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sku {
    /// What every tenant has: it opens nothing.
    Free,
    Bought(ServicePlan),
    Lapsed(ServicePlan),
}

/// Everything that the tenant bought or had bought.
pub(super) fn skus(estate: &Estate) -> Vec<Sku> {
    let tenant = &estate.file.tenant;
    let bought = tenant.service_plans.iter().map(|plan| Sku::Bought(*plan));
    let lapsed = tenant.lapsed_plans.iter().map(|plan| Sku::Lapsed(*plan));
    [Sku::Free].into_iter().chain(bought).chain(lapsed).collect()
}

/// Part number, SKU id and plans (name and id). The names of the plans are the vendor's.
type Published = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const P1_PLAN: (&str, &str) = ("AAD_PREMIUM", "41781fb2-bc02-4b7c-bd55-b576c07bb09d");
const P2_PLAN: (&str, &str) = ("AAD_PREMIUM_P2", "eec0eb4f-6444-4f95-aba0-50c24d67f998");

fn published(sku: Sku) -> Published {
    match sku {
        Sku::Free => (
            "FLOW_FREE",
            "f30db892-07e9-47e9-837c-80727f46fd3d",
            &[
                ("EXCHANGE_S_FOUNDATION", "113feb6c-3fe4-4440-bddc-54d774bf0318"),
                ("FLOW_P2_VIRAL", "50e68c76-46c6-4674-81f9-75456511b170"),
            ],
        ),
        Sku::Bought(ServicePlan::P1) | Sku::Lapsed(ServicePlan::P1) => {
            ("AAD_PREMIUM", "078d2b04-f1bd-4111-bbd4-b4b1b354cef4", &[P1_PLAN])
        }
        Sku::Bought(ServicePlan::P2) | Sku::Lapsed(ServicePlan::P2) => {
            ("AAD_PREMIUM_P2", "84a661c4-e949-4bd2-a560-ed7766fcaf2b", &[P1_PLAN, P2_PLAN])
        }
        Sku::Bought(ServicePlan::WorkloadIdentities) | Sku::Lapsed(ServicePlan::WorkloadIdentities) => (
            "WORKLOAD_IDENTITIES_PREMIUM",
            "73fa80b5-1f9d-5c3a-9a0e-6a0d6f2c41b7",
            &[
                ("AAD_WRKLDID_P1", "84c289f0-efcb-486f-8581-07f44fc9efad"),
                ("AAD_WRKLDID_P2", "7dc0e92d-bf15-401d-907e-0884efe7c760"),
            ],
        ),
    }
}

pub(super) fn sku_row_id(estate: &Estate, sku: Sku) -> String {
    format!("{}_{}", estate.tenant_id(), published(sku).1)
}

pub(super) fn sku(estate: &Estate, sku: Sku) -> Value {
    let (name, id, plans) = published(sku);
    let lapsed = matches!(sku, Sku::Lapsed(_));
    let (enabled, suspended) = if lapsed { (0, 100) } else { (100, 0) };
    let plans: Vec<Value> = plans
        .iter()
        .map(|(name, id)| {
            json!({"servicePlanId": id, "servicePlanName": name, "provisioningStatus": "Success", "appliesTo": "User"})
        })
        .collect();
    json!({
        "id": sku_row_id(estate, sku), "accountId": estate.tenant_id(),
        "accountName": estate.file.tenant.display_name, "appliesTo": "User",
        "capabilityStatus": if lapsed { "Suspended" } else { "Enabled" }, "consumedUnits": 12,
        "prepaidUnits": {"enabled": enabled, "suspended": suspended, "warning": 0, "lockedOut": 0},
        "servicePlans": plans, "skuId": id, "skuPartNumber": name, "subscriptionIds": [],
    })
}

pub(super) fn group(estate: &Estate, group: &Group) -> Value {
    let created = group.created.unwrap_or(estate.file.tenant.created);
    json!({
        "id": group.id, "createdDateTime": time(estate.instant(created)), "displayName": group.display_name,
        "groupTypes": [], "isAssignableToRole": group.role_assignable.then_some(true), "mailEnabled": false,
        "mailNickname": group.key, "securityEnabled": group.security_enabled,
    })
}

pub(super) fn agent(estate: &Estate, sp: &ServicePrincipal) -> Value {
    let created = sp.created.unwrap_or(estate.file.tenant.created);
    json!({
        "id": sp.id, "displayName": sp.display_name, "createdDateTime": long_time(estate.instant(created)),
        "createdByAppId": sp.blueprint, "agentIdentityBlueprintId": sp.blueprint, "accountEnabled": !sp.disabled,
        "servicePrincipalType": sp.service_principal_type, "tags": sp.tags.clone().unwrap_or_default(),
        "appOwnerOrganizationId": sp.app_owner_organization_id, "appId": sp.app_id,
    })
}

/// The schedule that an instance comes from.
fn schedule_of(id: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("schedule/{id}").as_bytes()).to_string()
}

pub(super) fn eligible(estate: &Estate, held: &EligibleRole) -> Value {
    let start = held.start.unwrap_or(estate.file.tenant.created);
    json!({
        "id": held.id, "principalId": held.principal, "roleDefinitionId": held.role, "directoryScopeId": held.scope,
        "startDateTime": time(estate.instant(start)), "endDateTime": held.end.map(|end| time(estate.instant(end))),
        "memberType": "Direct", "roleEligibilityScheduleId": schedule_of(&held.id),
    })
}

pub(super) fn assignment_type(held: &RoleAssignment) -> &'static str {
    if held.activated { "Activated" } else { "Assigned" }
}

pub(super) fn schedule(estate: &Estate, held: &RoleAssignment) -> Value {
    let start = held.start.unwrap_or(estate.file.tenant.created);
    json!({
        "id": format!("{}-1", held.id), "principalId": held.principal, "roleDefinitionId": held.role,
        "directoryScopeId": held.scope, "startDateTime": time(estate.instant(start)),
        "endDateTime": held.end.map(|end| time(estate.instant(end))), "assignmentType": assignment_type(held),
        "memberType": "Direct", "roleAssignmentOriginId": held.id, "roleAssignmentScheduleId": schedule_of(&held.id),
    })
}

pub(super) fn delegated(grant: &DelegatedGrant) -> Value {
    let consent = if grant.principal.is_some() { "Principal" } else { "AllPrincipals" };
    json!({
        "id": grant.id, "clientId": grant.client, "consentType": consent, "principalId": grant.principal,
        "resourceId": grant.resource, "scope": grant.scopes.join(" "),
    })
}

/// Restrictions as both kinds of policies hold them.
fn restrictions(policy: &CredentialPolicy) -> Value {
    let all = |kinds: &[String]| -> Vec<Value> {
        let one = |kind: &String| {
            let state = if policy.off.contains(kind) { "disabled" } else { "enabled" };
            let life = kind.ends_with("Lifetime").then_some("P180D");
            json!({
                "restrictionType": kind, "state": state, "maxLifetime": life,
                "restrictForAppsCreatedAfterDateTime": "2019-01-01T00:00:00Z",
            })
        };
        kinds.iter().map(one).collect()
    };
    json!({"passwordCredentials": all(&policy.secrets), "keyCredentials": all(&policy.certificates)})
}

pub(super) fn tenant_policy(policy: &CredentialPolicy) -> Value {
    let none = json!({"passwordCredentials": [], "keyCredentials": []});
    json!({
        "id": "00000000-0000-0000-0000-000000000000", "displayName": "Tenant policy of credentials",
        "description": "Simulated.", "isEnabled": policy.enabled, "applicationRestrictions": restrictions(policy),
        "servicePrincipalRestrictions": none,
    })
}

pub(super) fn policy_id(at: usize) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("credential-policy/{at}").as_bytes()).to_string()
}

pub(super) fn policy(at: usize, policy: &CredentialPolicy) -> Value {
    json!({
        "id": policy_id(at), "displayName": format!("Policy {at} of credentials"), "description": "Simulated.",
        "isEnabled": policy.enabled, "restrictions": restrictions(policy),
    })
}
