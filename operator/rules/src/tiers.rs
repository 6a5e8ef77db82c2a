//! Privilege tiers of Entra's directory roles and of Microsoft Graph's application permissions.
//!
//! A table of our own over public identifiers: the ids are facts that Microsoft publishes (the list of built-in roles
//! and the permissions reference); which tier each one gets is this project's judgement. An id that is not listed has
//! no proven tier: it is shown as authority of unknown weight and never raises anything.

use crate::severity::Tier;

/// Changes whenever a row does: it is part of the digest of an evaluation's inputs.
pub const TABLE_VERSION: &str = "entra-2026.11-1";

/// `appId` of Microsoft Graph, the same in every cloud.
pub const MICROSOFT_GRAPH: &str = "00000003-0000-0000-c000-000000000000";

/// The app role that means "may sign in" and grants nothing.
pub const DEFAULT_ACCESS: &str = "00000000-0000-0000-0000-000000000000";

/// Tenants that own Microsoft's own applications.
pub const MICROSOFT_TENANTS: [&str; 2] =
    ["f8cdef31-a31e-4b4a-93e4-5f571e91255a", "72f988bf-86f1-41af-91ab-2d7cd011db47"];

/// Data that an application permission reaches in every mailbox, site or conversation of the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SensitiveDomain {
    /// Mailboxes.
    Mail,
    /// Files.
    Files,
    /// Sites.
    Sites,
    /// Calendars.
    Calendars,
    /// Address books.
    Contacts,
    /// Chats, channels and meeting transcripts.
    Conversations,
    /// Notebooks.
    Notes,
}

impl SensitiveDomain {
    /// What can be reached, to end a sentence with. Exchange can limit an application to some mailboxes, and that is not
    /// collected.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mailboxes (unless Exchange limits it to some)",
            Self::Files => "the files of everybody",
            Self::Sites => "all sites",
            Self::Calendars => "calendars (unless Exchange limits it to some)",
            Self::Contacts => "address books (unless Exchange limits it to some)",
            Self::Conversations => "the conversations of everybody",
            Self::Notes => "the notebooks of everybody",
        }
    }
}

/// One row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Role template id or app role id.
    pub id: &'static str,
    /// The vendor's name for it.
    pub name: &'static str,
    /// What it amounts to over the whole tenant.
    pub tier: Tier,
    /// Sensitive data that it reaches.
    pub sensitive: Option<SensitiveDomain>,
}

const fn role(id: &'static str, name: &'static str, tier: Tier) -> Known {
    Known { id, name, tier, sensitive: None }
}

const fn reach(id: &'static str, name: &'static str, tier: Tier, domain: SensitiveDomain) -> Known {
    Known { id, name, tier, sensitive: Some(domain) }
}

/// The directory role with this template id (or built-in definition id, which is the same).
pub fn directory_role(template_id: &str) -> Option<&'static Known> {
    lookup(DIRECTORY_ROLES, template_id)
}

/// The application permission of Microsoft Graph with this app role id.
pub fn graph_permission(app_role_id: &str) -> Option<&'static Known> {
    lookup(GRAPH_PERMISSIONS, app_role_id)
}

fn lookup(table: &'static [Known], id: &str) -> Option<&'static Known> {
    let id = id.to_ascii_lowercase();
    table.binary_search_by(|known| known.id.cmp(id.as_str())).ok().and_then(|at| table.get(at))
}

/// Sorted by id.
pub const DIRECTORY_ROLES: &[Known] = &[
    role("0526716b-113d-4c15-b2c8-68e3c22b9f80", "Authentication Policy Administrator", Tier::P1),
    role("11648597-926c-4cf3-9c36-bcebb0ba8dcc", "Power Platform Administrator", Tier::P1),
    role("158c047a-c907-4556-b7ef-446551a6b5f7", "Cloud Application Administrator", Tier::P1),
    role("17315797-102d-40b4-93e0-432062caca18", "Compliance Administrator", Tier::P2),
    role("194ae4cb-b126-40b2-bd5b-6091b380977d", "Security Administrator", Tier::P1),
    role("29232cdf-9323-42fd-ade2-1d097af3e4de", "Exchange Administrator", Tier::P1),
    role("31392ffb-586c-42d1-9346-e59415a2cc4e", "Exchange Recipient Administrator", Tier::P2),
    role("3a2c62db-5318-420d-8d74-23affee5d9d5", "Intune Administrator", Tier::P1),
    role("45d8d3c5-c802-45c6-b32a-1d70b5e1e86e", "Identity Governance Administrator", Tier::P1),
    role("4a5d8f65-41da-4de4-8968-e035b65339cf", "Reports Reader", Tier::P3),
    role("4ba39ca4-527c-499a-b93d-d9b492c50246", "Partner Tier1 Support", Tier::P1),
    role("4d6ac14f-3453-41d0-bef9-a3e0c569773a", "License Administrator", Tier::P2),
    role("59d46f88-662b-457b-bceb-5c3809e5908f", "Lifecycle Workflows Administrator", Tier::P1),
    role("5d6b6bb7-de71-4623-b4af-96380a352509", "Security Reader", Tier::P3),
    role("5f2222b1-57c3-48ba-8ad5-d4759f1fde6f", "Security Operator", Tier::P2),
    role("62e90394-69f5-4237-9190-012177145e10", "Global Administrator", Tier::P0),
    role("69091246-20e8-4a56-aa4d-066075b2a7a8", "Teams Administrator", Tier::P1),
    role("729827e3-9c14-49f7-bb1b-9608f156bbb8", "Helpdesk Administrator", Tier::P1),
    role("7698a772-787b-4ac8-901f-60d6b08affd2", "Cloud Device Administrator", Tier::P2),
    role("7be44c8a-adaf-4e2a-84d6-ab2649e08a13", "Privileged Authentication Administrator", Tier::P0),
    role("8329153b-31d0-4727-b945-745eb3bc5f31", "Domain Name Administrator", Tier::P1),
    role("88d8e3e3-8f55-4a1e-953a-9b9898b8876b", "Directory Readers", Tier::P3),
    role("8ac3fc64-6eca-42ea-9e69-59f4c7b60eb2", "Hybrid Identity Administrator", Tier::P1),
    role("9360feb5-f418-4baa-8175-e2a00bac4301", "Directory Writers", Tier::P1),
    role("95e79109-95c0-4d8e-aee3-d01accf2d47b", "Guest Inviter", Tier::P2),
    role("966707d0-3269-4727-9be2-8c3a10f19b9d", "Password Administrator", Tier::P1),
    role("9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3", "Application Administrator", Tier::P1),
    role("a9ea8996-122f-4c74-9520-8edcd192826c", "Fabric Administrator", Tier::P2),
    role("b0f54661-2d74-4c50-afa3-1ec803f12efe", "Billing Administrator", Tier::P2),
    role("b1be1c3e-b65d-4f19-8427-f6fa0d97feb9", "Conditional Access Administrator", Tier::P1),
    role("be2f45a1-457d-42af-a067-6ec1fa63bc45", "External Identity Provider Administrator", Tier::P1),
    role("c4e39bd9-1100-46d3-8c65-fb160da0071f", "Authentication Administrator", Tier::P1),
    role("cf1c38e5-3621-4004-a7cb-879624dced7c", "Application Developer", Tier::P2),
    role("d29b2b05-8046-44ba-8758-1e26182fcf32", "Directory Synchronization Accounts", Tier::P1),
    role("db506228-d27e-4b7d-95e5-295956d6615f", "Agent ID Administrator", Tier::P1),
    role("e00e864a-17c5-4a4b-9c06-f5b95a8d5bd8", "Partner Tier2 Support", Tier::P1),
    role("e3973bdf-4987-49ae-837a-ba8e231c7286", "Azure DevOps Administrator", Tier::P2),
    role("e8611ab8-c189-46e8-94e1-60213ab1f814", "Privileged Role Administrator", Tier::P0),
    role("f28a1f50-f6e7-4571-818b-6a12f2af6b6c", "SharePoint Administrator", Tier::P1),
    role("f2ef992c-3afb-46b9-b7cf-a126ee74c451", "Global Reader", Tier::P3),
    role("fdd7a751-b60b-444a-984c-02652fe8fa1c", "Groups Administrator", Tier::P1),
    role("fe930be7-5e62-47db-91af-98c3a49a38b1", "User Administrator", Tier::P1),
];

/// Sorted by id.
pub const GRAPH_PERMISSIONS: &[Known] = &[
    role("01c0a623-fc9b-48e9-b794-0756f8e8f067", "Policy.ReadWrite.ConditionalAccess", Tier::P1),
    reach("01d4889c-1287-42c6-ac1f-5d1e02578ef6", "Files.Read.All", Tier::P3, SensitiveDomain::Files),
    role("06b708a9-e830-4db3-a914-8e69da51d44f", "AppRoleAssignment.ReadWrite.All", Tier::P0),
    reach("089fe4d0-434a-44c5-8827-41ba8a0b17f5", "Contacts.Read", Tier::P3, SensitiveDomain::Contacts),
    reach("0c0bf378-bf22-4481-8f81-9e89a9b4960a", "Sites.Manage.All", Tier::P1, SensitiveDomain::Sites),
    reach("0c458cef-11f3-48c2-a568-c66751c238c0", "Notes.ReadWrite.All", Tier::P2, SensitiveDomain::Notes),
    role("1138cb37-bd11-4084-a2b7-9f71582aeddb", "Device.ReadWrite.All", Tier::P2),
    role("18a4783c-866b-4cc7-a460-3d5e5662c884", "Application.ReadWrite.OwnedBy", Tier::P2),
    role("19dbc75e-c2e2-444c-a770-ec69d8559fc7", "Directory.ReadWrite.All", Tier::P1),
    role("1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9", "Application.ReadWrite.All", Tier::P1),
    role("230c1aed-a721-4c5d-9cb4-a90514e508ef", "Reports.Read.All", Tier::P3),
    role("246dd0d5-5bd0-4def-940b-0421030a5b68", "Policy.Read.All", Tier::P3),
    role("292d869f-3427-49a8-9dab-8c70152b74e9", "Organization.ReadWrite.All", Tier::P1),
    reach("294ce7c9-31ba-490a-ad7d-97a7d075e4ed", "Chat.ReadWrite.All", Tier::P2, SensitiveDomain::Conversations),
    role("29c18626-4985-4dcd-85c0-193eef327366", "Policy.ReadWrite.AuthenticationMethod", Tier::P1),
    role("2f6817f8-7b12-4f0f-bc18-eeaf60705a9e", "PrivilegedAccess.ReadWrite.AzureADGroup", Tier::P1),
    role("3011c876-62b7-4ada-afa2-506cbbecc68c", "User.EnableDisableAccount.All", Tier::P2),
    role("31e08e0a-d3f7-4ca2-ac39-7343fb83e8ad", "RoleManagementPolicy.ReadWrite.Directory", Tier::P1),
    reach("332a536c-c7ef-4017-ab91-336970924f0d", "Sites.Read.All", Tier::P3, SensitiveDomain::Sites),
    reach("3aeca27b-ee3a-4c2b-8ded-80376e2134a4", "Notes.Read.All", Tier::P3, SensitiveDomain::Notes),
    role("40f97065-369a-49f4-947c-6a255697ae91", "MailboxSettings.Read", Tier::P3),
    role("41202f2c-f7ab-45be-b001-85c9728b9d69", "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup", Tier::P1),
    role("483bed4a-2ad3-4361-a73b-c83ccdbdc53c", "RoleManagement.Read.Directory", Tier::P3),
    role("498476ce-e0fe-48b0-b801-37ba7e2685c6", "Organization.Read.All", Tier::P3),
    role("50483e42-d915-4231-9639-7fdb7fd190e5", "UserAuthenticationMethod.ReadWrite.All", Tier::P1),
    role("5b07b0dd-2377-4e44-a38d-703f09a0dc3c", "DeviceManagementManagedDevices.PrivilegedOperations.All", Tier::P1),
    role("5b567255-7703-4780-807c-7be8301ae99b", "Group.Read.All", Tier::P3),
    role("62a82d76-70ea-41e2-9197-370581804d09", "Group.ReadWrite.All", Tier::P1),
    role("658aa5d8-239f-45c4-aa12-864f4fc7e490", "Member.Read.Hidden", Tier::P3),
    role("660b7406-55f1-41ca-a0ed-0b035e182f3e", "TeamMember.Read.All", Tier::P3),
    reach("6918b873-d17a-4dc1-b314-35f528134491", "Contacts.ReadWrite", Tier::P2, SensitiveDomain::Contacts),
    role("6931bccd-447a-43d1-b442-00a195474933", "MailboxSettings.ReadWrite", Tier::P2),
    role("693c5e45-0940-467d-9b8a-1022fb9d42ef", "Mail.ReadBasic.All", Tier::P3),
    reach("6b7d71aa-70aa-4810-a8d9-5d9fb2830017", "Chat.Read.All", Tier::P3, SensitiveDomain::Conversations),
    role("6be147d2-ea4f-4b5a-a3fa-3eab6f3c140a", "Mail.ReadBasic", Tier::P3),
    role("741f803b-c850-494e-b5df-cde7c675a1ca", "User.ReadWrite.All", Tier::P1),
    reach("75359482-378d-4052-8f01-80520e7db3cd", "Files.ReadWrite.All", Tier::P1, SensitiveDomain::Files),
    reach("798ee544-9d2d-430c-a058-570e29e34338", "Calendars.Read", Tier::P3, SensitiveDomain::Calendars),
    role("7ab1d382-f21e-4acd-a863-ba3e13f7da61", "Directory.Read.All", Tier::P3),
    reach("7b2449af-6ccd-4f4d-9f78-e550c193f0d1", "ChannelMessage.Read.All", Tier::P3, SensitiveDomain::Conversations),
    role("7e05723c-0bb0-42da-be95-ae9f08a6e53c", "Domain.ReadWrite.All", Tier::P1),
    reach("810c84a8-4a9e-49e6-bf7d-12d183f40d01", "Mail.Read", Tier::P3, SensitiveDomain::Mail),
    role("89c8469c-83ad-45f7-8ff2-6e3d4285709e", "ServicePrincipalEndpoint.ReadWrite.All", Tier::P1),
    role("8e8e4742-1d95-4f68-9d56-6ee75648c72a", "DelegatedPermissionGrant.ReadWrite.All", Tier::P1),
    reach("9492366f-7969-46a4-8d15-ed1a20078fff", "Sites.ReadWrite.All", Tier::P1, SensitiveDomain::Sites),
    role("97235f07-e226-4f63-ace3-39588e11d3a1", "User.ReadBasic.All", Tier::P3),
    role("98830695-27a2-44f7-8c18-0c3ebc9698f6", "GroupMember.Read.All", Tier::P3),
    role("9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30", "Application.Read.All", Tier::P3),
    role("9acd699f-1e81-4958-b001-93b1d2506e19", "EntitlementManagement.ReadWrite.All", Tier::P1),
    role("9b50c33d-700f-43b1-b2eb-87e89b703581", "Synchronization.ReadWrite.All", Tier::P2),
    role("9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8", "RoleManagement.ReadWrite.Directory", Tier::P0),
    role("a402ca1c-2696-4531-972d-6e5ee4aa11ea", "Policy.ReadWrite.PermissionGrant", Tier::P1),
    reach(
        "a4a80d8d-d283-4bd8-8504-555ec3870630",
        "OnlineMeetingTranscript.Read.All",
        Tier::P3,
        SensitiveDomain::Conversations,
    ),
    reach("a82116e5-55eb-4c41-a434-62fe8a61c773", "Sites.FullControl.All", Tier::P1, SensitiveDomain::Sites),
    role("b0afded3-3588-46d8-8b3d-9842eff778da", "AuditLog.Read.All", Tier::P3),
    role("b2e060da-3baf-4687-9611-f4ebc0f0cbde", "Chat.ReadBasic.All", Tier::P3),
    role("b528084d-ad10-4598-8b93-929746b4d7d6", "People.Read.All", Tier::P3),
    role("b633e1c5-b582-4048-a93e-9f11b44c7e96", "Mail.Send", Tier::P2),
    role("c7fbd983-d9aa-4fa7-84b8-17382c103bc4", "RoleManagement.Read.All", Tier::P3),
    role("cc117bb9-00cf-4eb8-b580-ea2a878fe8f7", "User-PasswordProfile.ReadWrite.All", Tier::P1),
    role("dbaae8cf-10b5-4b86-a4a1-f871c94c6695", "GroupMember.ReadWrite.All", Tier::P1),
    role("dbb9058a-0e50-45d7-ae91-66909b5d4664", "Domain.Read.All", Tier::P3),
    role("dd199f4a-f148-40a4-a2ec-f0069cc799ec", "RoleAssignmentSchedule.ReadWrite.Directory", Tier::P0),
    role("df021288-bdef-4463-88db-98f22de89214", "User.Read.All", Tier::P3),
    reach("e2a3a72e-5f79-4c64-b1b1-878b674786c9", "Mail.ReadWrite", Tier::P1, SensitiveDomain::Mail),
    role("e330c4f0-4170-414e-a55a-2f022ec2b57b", "DeviceManagementRBAC.ReadWrite.All", Tier::P1),
    reach("ef54d2bf-783f-4e0f-bca1-3210c0444d99", "Calendars.ReadWrite", Tier::P2, SensitiveDomain::Calendars),
    role("f10e1f91-74ed-437f-a6fd-d6ae88e26c1f", "Tasks.Read.All", Tier::P3),
    role("fee28b28-e1f3-4841-818e-2704dc62245f", "RoleEligibilitySchedule.ReadWrite.Directory", Tier::P0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_unique_and_well_formed() {
        for table in [DIRECTORY_ROLES, GRAPH_PERMISSIONS] {
            assert!(table.is_sorted_by(|a, b| a.id < b.id));
            for known in table {
                assert_eq!(known.id.len(), 36, "{}", known.name);
                assert!(known.id.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c)));
                let twins = table.iter().filter(|other| other.name == known.name).count();
                assert_eq!(twins, 1, "{}", known.name);
            }
        }
    }

    #[test]
    fn names_agree_with_tiers() {
        for known in GRAPH_PERMISSIONS {
            let reads = !known.name.contains("Write") && known.name.contains(".Read");
            assert_eq!(reads, known.tier == Tier::P3, "{}", known.name);
        }
    }

    #[test]
    fn lookups_ignore_case_and_unknown_ids_have_no_tier() {
        assert_eq!(directory_role("62E90394-69F5-4237-9190-012177145E10").map(|known| known.tier), Some(Tier::P0));
        assert_eq!(graph_permission("810c84a8-4a9e-49e6-bf7d-12d183f40d01").map(|known| known.name), Some("Mail.Read"));
        assert_eq!(directory_role(DEFAULT_ACCESS), None);
        assert_eq!(graph_permission(""), None);
    }
}
