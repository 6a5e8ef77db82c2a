//! Certificates and kubeconfigs of a throw-away cluster: one authority, a week's validity, P-256 keys.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::network::{API_SERVICE_IP, API_URL, NODE, NODE_IP};
use crate::sh::Sh;

const DAYS: &str = "7";

/// Clients of the API server: name, common name, organisation.
const USERS: [(&str, &str, &str); 6] = [
    ("admin", "admin", "system:masters"),
    ("kube-network-policies", "kube-network-policies", "system:masters"),
    ("kubelet", "system:node:sv0-node", "system:nodes"),
    ("kube-controller-manager", "system:kube-controller-manager", ""),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-proxy", "system:kube-proxy", ""),
];

/// Directories with the keys and the kubeconfigs.
#[derive(Debug)]
pub(super) struct Pki {
    /// `ca.crt`, `NAME.crt`, `NAME.key`, `sa.pub`, `sa.key`.
    pub(super) keys: PathBuf,
    /// One kubeconfig per user.
    pub(super) kubeconfigs: PathBuf,
}

impl Pki {
    pub(super) fn new(state: &Path) -> Self {
        Self { keys: state.join("pki"), kubeconfigs: state.join("kubeconfig") }
    }

    /// The kubeconfig of a user.
    pub(super) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.kubeconfigs.join(user)
    }

    /// Makes everything.
    pub(super) fn create(&self) -> Result<()> {
        for dir in [&self.keys, &self.kubeconfigs] {
            fs::create_dir_all(dir)?;
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        }
        self.key("ca")?;
        self.openssl(&format!(
            "req -x509 -new -key ca.key -subj /CN=sv0-test-ca -days {DAYS} -out ca.crt \
             -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
        ))?;
        let names = "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost";
        let addresses = format!("{names},IP:127.0.0.1,IP:{NODE_IP},IP:{API_SERVICE_IP}");
        self.certificate("apiserver", "/CN=kube-apiserver", "serverAuth", &addresses)?;
        self.certificate("kubelet-server", &format!("/CN={NODE}"), "serverAuth", &format!("DNS:{NODE},IP:{NODE_IP}"))?;
        self.certificate("apiserver-kubelet", "/O=system:masters/CN=kube-apiserver-kubelet", "clientAuth", "")?;
        self.key("sa")?;
        self.openssl("ec -in sa.key -pubout -out sa.pub")?;
        for (user, common_name, organisation) in USERS {
            let organisation = if organisation.is_empty() { String::new() } else { format!("/O={organisation}") };
            self.certificate(user, &format!("{organisation}/CN={common_name}"), "clientAuth", "")?;
            self.write_kubeconfig(user)?;
        }
        Ok(())
    }

    fn key(&self, name: &str) -> Result<()> {
        self.openssl(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"))
    }

    fn certificate(&self, name: &str, subject: &str, usage: &str, names: &str) -> Result<()> {
        self.key(name)?;
        let names = if names.is_empty() { String::new() } else { format!("-addext subjectAltName={names}") };
        self.openssl(&format!(
            "req -x509 -new -CA ca.crt -CAkey ca.key -key {name}.key -subj {subject} -days {DAYS} -out {name}.crt \
             -addext basicConstraints=critical,CA:FALSE -addext keyUsage=digitalSignature \
             -addext extendedKeyUsage={usage} {names}"
        ))
    }

    fn write_kubeconfig(&self, user: &str) -> Result<()> {
        // In the order of use: the file is read by people too.
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: sv0-test\ncontexts: [{{name: sv0-test, context: {{cluster: sv0-test, user: {user}}}}}]\n\
             clusters: [{{name: sv0-test, cluster: {{server: \"{API_URL}\", certificate-authority-data: {ca}}}}}]\n\
             users: [{{name: {user}, user: {{client-certificate-data: {certificate}, client-key-data: {key}}}}}]\n",
            ca = self.base64("ca.crt")?,
            certificate = self.base64(&format!("{user}.crt"))?,
            key = self.base64(&format!("{user}.key"))?,
        );
        let path = self.kubeconfig(user);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }

    fn base64(&self, file: &str) -> Result<String> {
        Sh::new("openssl").args(["base64", "-A", "-in", file]).dir(&self.keys).read()
    }

    /// Calls openssl beside the keys; `line` is its arguments, none of which contains a space.
    fn openssl(&self, line: &str) -> Result<()> {
        Sh::new("openssl").args(line.split_whitespace()).dir(&self.keys).quiet()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_verify_and_say_who() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new(dir.path());
        pki.create().unwrap();
        for name in ["apiserver", "kubelet-server", "apiserver-kubelet", "admin", "kubelet"] {
            pki.openssl(&format!("verify -x509_strict -CAfile ca.crt {name}.crt")).unwrap();
        }
        let said = Sh::new("openssl")
            .args([
                "x509",
                "-in",
                "kubelet.crt",
                "-noout",
                "-subject",
                "-nameopt",
                "RFC2253",
                "-ext",
                "extendedKeyUsage",
            ])
            .dir(&pki.keys)
            .read()
            .unwrap();
        assert!(said.contains("CN=system:node:sv0-node,O=system:nodes"), "{said}");
        assert!(said.contains("TLS Web Client Authentication"), "{said}");
        assert!(fs::read_to_string(pki.kubeconfig("admin")).unwrap().contains(API_URL));
    }
}
