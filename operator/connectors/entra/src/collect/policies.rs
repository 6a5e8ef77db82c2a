//! What the tenant's policies enforce on credentials of applications: the tenant's own policy, and those for single
//! applications. Which applications these are about is not asked.

use sv0_connector::{Cause, Tally, text};
use sv0_graph::attr;

use crate::client::list;
use crate::collect::Walk;
use crate::map::policies::enforced;
use crate::model::{AppManagementPolicy, TenantAppManagementPolicy};

/// Both, or neither: half of them would say that nothing limits credentials.
pub(crate) async fn of_credentials(walk: &Walk<'_>, tally: &mut Tally) {
    let tenant = of_tenant(walk, tally).await;
    let mut custom = Vec::new();
    list(walk.engine, "listAppManagementPolicies", &[], tally, |wire: AppManagementPolicy| {
        let Some(id) = text::guid(&wire.id) else { return Ok(None) };
        custom.extend(enforced(wire.is_enabled, [wire.restrictions.as_ref()]));
        Ok(Some(id))
    })
    .await;
    let (Some(tenant), true) = (tenant, tally.is_complete()) else { return };
    let rows = [
        walk.map.credential_policy("getDefaultAppManagementPolicy", attr::CREDENTIAL_POLICY, tenant),
        walk.map.credential_policy("listAppManagementPolicies", attr::CUSTOM_CREDENTIAL_POLICIES, custom),
    ];
    if rows.into_iter().any(|row| walk.node(row).is_err()) {
        tally.report(Cause::Internal);
    }
}

async fn of_tenant(walk: &Walk<'_>, tally: &mut Tally) -> Option<Vec<String>> {
    let request = match walk.engine.guard().prepare("getDefaultAppManagementPolicy", &[]) {
        Ok(request) => request,
        Err(refusal) => {
            tally.report(walk.engine.refused(&refusal));
            return None;
        }
    };
    match walk.engine.json::<TenantAppManagementPolicy>(&request).await {
        Ok(wire) => {
            tally.page();
            let restrictions = [wire.application_restrictions.as_ref(), wire.service_principal_restrictions.as_ref()];
            Some(enforced(wire.is_enabled, restrictions))
        }
        Err(failure) => {
            tally.report(failure);
            None
        }
    }
}
