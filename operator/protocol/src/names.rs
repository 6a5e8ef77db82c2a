//! Names that more than one program relies on: labels, mount paths, environment variables, exit codes, accounts.

/// API group of the resources.
pub const GROUP: &str = "securityv0.com";
/// A ServiceAccount must carry this label with the value `true` before a scan may run as it.
pub const SCAN_ACCOUNT_LABEL: &str = "securityv0.com/scan";
/// On Jobs and Pods: `scan` or `evaluate`.
pub const PROGRAM_LABEL: &str = "securityv0.com/program";
/// On scan Jobs: the name of the ConnectorInstance.
pub const INSTANCE_LABEL: &str = "securityv0.com/instance";
/// On evaluation Jobs: the estate (namespace).
pub const ESTATE_LABEL: &str = "securityv0.com/estate";
/// On Jobs: the scan id or the digest of the evaluation's order.
pub const RUN_ANNOTATION: &str = "securityv0.com/run";
/// On a ConnectorInstance: any new value asks for one scan; echoed in `status.lastHandledScanRequest`.
pub const SCAN_REQUESTED_ANNOTATION: &str = "securityv0.com/scan-requested";
/// Secrets that a ConnectorInstance may use start with this.
pub const SECRET_PREFIX: &str = "sv0-";
/// Key of such a Secret: the host or tenant that it is for.
pub const SECRET_TARGET_KEY: &str = "target";
/// Key of such a Secret: the client secret itself.
pub const SECRET_CLIENT_SECRET_KEY: &str = "clientSecret";

/// Where a scan pod finds the optional credential Secret.
pub const CREDENTIAL_DIR: &str = "/var/run/securityv0/credential";
/// Where a scan pod finds its federated token (workload identity).
pub const FEDERATED_TOKEN_PATH: &str = "/var/run/securityv0/federated/token";
/// Where scan and evaluation pods find their token for the store.
pub const STORE_TOKEN_PATH: &str = "/var/run/securityv0/store/token";
/// Environment variable with the JSON [`crate::ScanRequest`].
pub const SCAN_REQUEST_ENV: &str = "SECURITYV0_SCAN_REQUEST";
/// Environment variable with the JSON [`crate::EvaluateRequest`].
pub const EVALUATE_REQUEST_ENV: &str = "SECURITYV0_EVALUATE_REQUEST";
/// Where a program writes its last words; the kubelet shows them as the container's termination message.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// The programs end with these codes.
pub mod exit {
    /// Done; the report says whether completely or partially.
    pub const DONE: i32 = 0;
    /// The cause is the customer's to mend: credentials, permissions, configuration. The report names it.
    pub const REFUSED: i32 = 10;
    /// The cause may pass by itself: throttling, an unreachable endpoint, the store.
    pub const RETRY: i32 = 11;
    /// A defect of ours.
    pub const DEFECT: i32 = 12;
}

/// ServiceAccount, in the operator's namespace, that evaluates `estate`.
pub fn evaluate_account(estate: &str) -> String {
    format!("evaluate-{estate}")
}

/// ServiceAccount, in the operator's namespace, through which people read `estate`'s stored evidence.
pub fn reader_account(estate: &str) -> String {
    format!("reader-{estate}")
}

/// ServiceAccount, in the operator's namespace, with whose token an administrator has the store delete what is gone.
pub const PURGE_ACCOUNT: &str = "securityv0-purge";
