//! Public identifiers of the vendor that an estate refers to by name: Graph application permissions and built-in
//! directory roles. Names and ids only, no behaviour.

/// Key under which an estate file names the Microsoft Graph service principal. It is always there.
pub(crate) const GRAPH_KEY: &str = "microsoft-graph";
/// Client id of Microsoft Graph.
pub(crate) const GRAPH_APP_ID: &str = "00000003-0000-0000-c000-000000000000";
/// Tenant that owns Microsoft's first-party applications.
pub(crate) const MICROSOFT_SERVICES_TENANT: &str = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";
/// App role id that means default access and no permission.
pub(crate) const DEFAULT_ACCESS: &str = "00000000-0000-0000-0000-000000000000";

/// Application permissions of Microsoft Graph: value and app role id.
pub(crate) const GRAPH_PERMISSIONS: &[(&str, &str)] = &[
    ("Application.Read.All", "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30"),
    ("Application.ReadWrite.All", "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9"),
    ("Application.ReadWrite.OwnedBy", "18a4783c-866b-4cc7-a460-3d5e5662c884"),
    ("AppRoleAssignment.ReadWrite.All", "06b708a9-e830-4db3-a914-8e69da51d44f"),
    ("AuditLog.Read.All", "b0afded3-3588-46d8-8b3d-9842eff778da"),
    ("Calendars.ReadWrite", "ef54d2bf-783f-4e0f-bca1-3210c0444d99"),
    ("Directory.Read.All", "7ab1d382-f21e-4acd-a863-ba3e13f7da61"),
    ("Directory.ReadWrite.All", "19dbc75e-c2e2-444c-a770-ec69d8559fc7"),
    ("Files.Read.All", "01d4889c-1287-42c6-ac1f-5d1e02578ef6"),
    ("Files.ReadWrite.All", "75359482-378d-4052-8f01-80520e7db3cd"),
    ("Group.Read.All", "5b567255-7703-4780-807c-7be8301ae99b"),
    ("Group.ReadBasic.All", "07d67222-3a10-4d3b-9ddc-b8aa43198a00"),
    ("Group.ReadWrite.All", "62a82d76-70ea-41e2-9197-370581804d09"),
    ("GroupMember.Read.All", "98830695-27a2-44f7-8c18-0c3ebc9698f6"),
    ("GroupMember.ReadWrite.All", "dbaae8cf-10b5-4b86-a4a1-f871c94c6695"),
    ("LicenseAssignment.Read.All", "e2f98668-2877-4f38-a2f4-8202e0717aa1"),
    ("Mail.Read", "810c84a8-4a9e-49e6-bf7d-12d183f40d01"),
    ("Mail.ReadWrite", "e2a3a72e-5f79-4c64-b1b1-878b674786c9"),
    ("Mail.Send", "b633e1c5-b582-4048-a93e-9f11b44c7e96"),
    ("Organization.Read.All", "498476ce-e0fe-48b0-b801-37ba7e2685c6"),
    ("Policy.Read.All", "246dd0d5-5bd0-4def-940b-0421030a5b68"),
    ("Reports.Read.All", "230c1aed-a721-4c5d-9cb4-a90514e508ef"),
    ("RoleManagement.Read.Directory", "483bed4a-2ad3-4361-a73b-c83ccdbdc53c"),
    ("RoleManagement.ReadWrite.Directory", "9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8"),
    ("SecurityEvents.Read.All", "bf394140-e372-4bf9-a898-299cfc7564e5"),
    ("Sites.FullControl.All", "a82116e5-55eb-4c41-a434-62fe8a61c773"),
    ("Sites.Read.All", "332a536c-c7ef-4017-ab91-336970924f0d"),
    ("Sites.Selected", "883ea226-0bf2-4a8f-9f9d-92c9162a727d"),
    ("Team.ReadBasic.All", "2280dda6-0bfd-44ee-a2f4-cb867cfc4c1e"),
    ("User.Read.All", "df021288-bdef-4463-88db-98f22de89214"),
    ("User.ReadWrite.All", "741f803b-c850-494e-b5df-cde7c675a1ca"),
];

/// Built-in directory roles: name, template id, one telling action.
pub(crate) const DIRECTORY_ROLES: &[(&str, &str, &str)] = &[
    (
        "Global Administrator",
        "62e90394-69f5-4237-9190-012177145e10",
        "microsoft.directory/applications/allProperties/allTasks",
    ),
    (
        "Privileged Role Administrator",
        "e8611ab8-c189-46e8-94e1-60213ab1f814",
        "microsoft.directory/roleAssignments/allProperties/allTasks",
    ),
    (
        "Privileged Authentication Administrator",
        "7be44c8a-adaf-4e2a-84d6-ab2649e08a13",
        "microsoft.directory/users/authenticationMethods/create",
    ),
    (
        "Application Administrator",
        "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",
        "microsoft.directory/applications/credentials/update",
    ),
    (
        "Cloud Application Administrator",
        "158c047a-c907-4556-b7ef-446551a6b5f7",
        "microsoft.directory/applications/credentials/update",
    ),
    ("User Administrator", "fe930be7-5e62-47db-91af-98c3a49a38b1", "microsoft.directory/users/create"),
    ("Groups Administrator", "fdd7a751-b60b-444a-984c-02652fe8fa1c", "microsoft.directory/groups/create"),
    (
        "Exchange Administrator",
        "29232cdf-9323-42fd-ade2-1d097af3e4de",
        "microsoft.office365.exchange/allEntities/basic/allTasks",
    ),
    ("Helpdesk Administrator", "729827e3-9c14-49f7-bb1b-9608f156bbb8", "microsoft.directory/users/password/update"),
    ("Directory Writers", "9360feb5-f418-4baa-8175-e2a00bac4301", "microsoft.directory/groups/members/update"),
    ("Directory Readers", "88d8e3e3-8f55-4a1e-953a-9b9898b8876b", "microsoft.directory/users/standard/read"),
    ("Global Reader", "f2ef992c-3afb-46b9-b7cf-a126ee74c451", "microsoft.directory/applications/allProperties/read"),
    ("Security Reader", "5d6b6bb7-de71-4623-b4af-96380a352509", "microsoft.directory/auditLogs/allProperties/read"),
    ("Reports Reader", "4a5d8f65-41da-4de4-8968-e035b65339cf", "microsoft.directory/signInReports/allProperties/read"),
];
