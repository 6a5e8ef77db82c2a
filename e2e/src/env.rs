//! Where the cluster, the images and the tools are: read once from the environment.

use std::path::PathBuf;

use crate::Result;

/// What `cargo xtask test` and `cargo xtask demo` hand to the end-to-end steps.
#[derive(Clone, Debug)]
pub struct Env {
    /// Kubeconfig of the cluster to use.
    pub kubeconfig: PathBuf,
    /// `kubectl`.
    pub kubectl: PathBuf,
    /// `helm`.
    pub helm: PathBuf,
    /// Image with the four programs, already present in the cluster.
    pub image: String,
    /// Image of the simulated vendor, already present in the cluster.
    pub estate_image: String,
    /// The API server's audit log, when the cluster is one that we built.
    pub audit_log: Option<PathBuf>,
    /// Root of the checkout.
    pub root: PathBuf,
}

impl Env {
    /// Reads `KUBECONFIG`, `SV0_KUBECTL`, `SV0_HELM`, `SV0_IMAGE`, `SV0_ESTATE_IMAGE` and `SV0_AUDIT_LOG`.
    pub fn read() -> Result<Self> {
        let var = |name: &str| {
            std::env::var(name).map_err(|_| {
                format!("{name} is not set; run the end-to-end tests through `cargo xtask test --stage e2e`")
            })
        };
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        Ok(Self {
            kubeconfig: var("KUBECONFIG")?.into(),
            kubectl: std::env::var("SV0_KUBECTL").unwrap_or_else(|_| "kubectl".into()).into(),
            helm: var("SV0_HELM")?.into(),
            image: var("SV0_IMAGE")?,
            estate_image: var("SV0_ESTATE_IMAGE")?,
            audit_log: std::env::var("SV0_AUDIT_LOG").ok().filter(|p| !p.is_empty()).map(Into::into),
            root: root.parent().map_or(root.clone(), Into::into),
        })
    }
}
