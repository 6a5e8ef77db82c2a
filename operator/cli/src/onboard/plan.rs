//! The files of one onboarding: the artefacts of the permission set, and beside them this cluster's values. Takes
//! checked values only; gives files. Pure.

use serde_json::{Value, json};

use crate::clouds::Cloud;
use crate::files::File;
use crate::manifest::{Manifest, PermissionSet};
use crate::onboard::artefacts;
use crate::values::{AccountName, DisplayName, Guid, InstanceName, Namespace, bicep_quote, sh_quote};

const CERT_MANAGER: &str = include_str!("../../templates/certificate.yaml");
/// Name of the federated credential on the application.
const TRUST: &str = "securityv0-scan";
/// Where a consent comes back to; the port is free for loopback addresses.
pub const REDIRECT_PATH: &str = "/sv0-consent";

/// How scans sign in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// With a short-lived token of the cluster: nothing is stored.
    #[default]
    WorkloadIdentity,
    /// With a certificate whose key is in a Secret of the estate.
    Certificate,
}

/// One onboarding.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Directory id.
    pub tenant: Guid,
    /// Application id, when there is one already.
    pub client_id: Option<Guid>,
    /// The estate.
    pub namespace: Namespace,
    /// Who scans run as.
    pub service_account: AccountName,
    /// The `ConnectorInstance`.
    pub name: InstanceName,
    /// The application's name for people.
    pub display_name: DisplayName,
    /// The cloud.
    pub cloud: Cloud,
    /// The permissions.
    pub set: PermissionSet,
    /// Whether other tenants may consent to the application.
    pub multi_tenant: bool,
    /// The cluster's issuer; none when scans sign in with a certificate.
    pub issuer: Option<String>,
}

impl Plan {
    /// Everything that is written.
    pub fn files(&self, manifest: &Manifest) -> anyhow::Result<Vec<File>> {
        let mut files = vec![
            File { name: "README.md", content: self.next_steps() },
            artefacts::script(manifest, self.set),
            File { name: "values.sh", content: self.values() },
            File { name: "application.json", content: pretty(&self.application())? },
        ];
        if self.cloud == Cloud::Public {
            files.extend(artefacts::bicep(manifest, self.set));
            files.push(File { name: "main.bicepparam", content: self.bicep_parameters() });
        }
        if let Some(issuer) = &self.issuer {
            let content = pretty(&self.federated_credential(issuer))?;
            files.push(File { name: "federated-credential.json", content });
        } else {
            files.push(artefacts::certificate());
            files.push(File { name: "certificate.yaml", content: self.cert_manager() });
        }
        files.push(File { name: "serviceaccount.yaml", content: yaml(&self.account())? });
        if let Some(client_id) = &self.client_id {
            let method = if self.issuer.is_some() { Method::WorkloadIdentity } else { Method::Certificate };
            let instance = Instance {
                tenant: &self.tenant,
                client_id,
                namespace: &self.namespace,
                name: &self.name,
                service_account: &self.service_account,
                cloud: self.cloud,
                method,
                revision: manifest.collection_revision,
            };
            let head = "# The revision is the one of the data-read table that came with this program: nothing newer is collected\n\
                        # until you raise it. See `kubectl sv0 permissions entra`.\n";
            files.push(File {
                name: "connectorinstance.yaml",
                content: format!("{head}{}", yaml(&instance.resource())?),
            });
        }
        Ok(files)
    }

    /// What to do with the files.
    pub fn next_steps(&self) -> String {
        let Self { tenant, namespace, name, .. } = self;
        let mut steps = vec![format!(
            "Read `onboard.sh`{}. It grants the {} permission set, which only reads: `kubectl sv0 permissions entra`.",
            if self.cloud == Cloud::Public { " or `main.bicep`" } else { "" },
            self.set.name()
        )];
        let mut deploy = format!(
            "As somebody who may grant application permissions in the tenant, run{}:\n\n\
             \x20      az login --tenant {tenant} --allow-no-subscriptions && sh onboard.sh\n",
            if self.cloud == Cloud::Public { " one of them" } else { "" },
        );
        if self.cloud == Cloud::Public {
            deploy.push_str(
                "       az deployment group create --resource-group ANY-GROUP --template-file main.bicep --parameters main.bicepparam\n",
            );
        }
        steps.push(deploy);
        match &self.client_id {
            None => steps.push(
                "Run `kubectl sv0 onboard entra` again with the same flags, `--force` and `--client-id` with the \
                 application (client) ID that was printed: then `connectorinstance.yaml` is written, too."
                    .to_owned(),
            ),
            Some(client) => {
                steps.push(format!(
                    "Where an administrator prefers to see a consent page instead of the grants made above: <{}>",
                    self.consent_url(client)
                ));
                if self.issuer.is_none() {
                    steps.push("Make the key and register its certificate: `sh certificate.sh`, or `certificate.yaml` with cert-manager.".to_owned());
                }
                steps.push(format!(
                    "Connect:\n\n       kubectl apply -f serviceaccount.yaml -f connectorinstance.yaml\n       \
                     kubectl describe connectorinstance {name} -n {namespace}\n"
                ));
            }
        }
        let numbered = steps.iter().enumerate().map(|(at, step)| format!("{}. {step}\n", at + 1));
        format!("Next steps for the tenant {tenant}:\n\n{}", numbered.collect::<String>())
    }

    /// The consent page of this tenant.
    fn consent_url(&self, client: &Guid) -> String {
        // Both are GUIDs: nothing to escape.
        format!("{}/{}/adminconsent?client_id={client}", self.cloud.endpoints().authority, self.tenant)
    }

    /// The name that finds the application again.
    fn unique_name(&self) -> String {
        format!("securityv0-{}-{}", self.namespace, self.name)
    }

    fn secret(&self) -> String {
        secret_name(&self.name)
    }

    fn subject(&self) -> String {
        subject(&self.namespace, &self.service_account)
    }

    fn audience(&self) -> &'static str {
        self.cloud.api().federation_audience()
    }

    fn sign_in_audience(&self) -> &'static str {
        if self.multi_tenant { "AzureADMultipleOrgs" } else { "AzureADMyOrg" }
    }

    fn values(&self) -> String {
        let client = self.client_id.as_ref().map_or("", Guid::as_str);
        let (secret, unique) = (self.secret(), self.unique_name());
        let graph = self.cloud.endpoints().graph;
        let values = [
            ("SV0_TENANT", self.tenant.as_str()),
            ("SV0_CLIENT", client),
            ("SV0_NAMESPACE", self.namespace.as_str()),
            ("SV0_SECRET", &secret),
            ("SV0_UNIQUE_NAME", &unique),
            ("SV0_DISPLAY_NAME", self.display_name.as_str()),
            ("SV0_SIGN_IN_AUDIENCE", self.sign_in_audience()),
            ("SV0_CLOUD", self.cloud.az()),
            ("SV0_GRAPH", &graph),
        ];
        let lines = values.map(|(name, value)| format!("{name}={}\n", sh_quote(value)));
        format!("# This cluster's values for onboard.sh and certificate.sh.\n{}", lines.concat())
    }

    /// What `az ad app create` has no flags for.
    fn application(&self) -> Value {
        let redirects = if self.multi_tenant { vec![format!("http://localhost{REDIRECT_PATH}")] } else { Vec::new() };
        json!({
            "uniqueName": self.unique_name(),
            "groupMembershipClaims": if self.multi_tenant { "DirectoryRole" } else { "None" },
            "publicClient": {"redirectUris": redirects},
            "servicePrincipalLockConfiguration": {"isEnabled": true, "allProperties": true},
        })
    }

    fn federated_credential(&self, issuer: &str) -> Value {
        json!({
            "name": TRUST,
            "issuer": issuer,
            "subject": self.subject(),
            "audiences": [self.audience()],
            "description": "Scans of SecurityV0 in your Kubernetes cluster",
        })
    }

    fn bicep_parameters(&self) -> String {
        let mut lines = vec![
            "using 'main.bicep'".to_owned(),
            String::new(),
            format!("param uniqueName = {}", bicep_quote(&self.unique_name())),
            format!("param displayName = {}", bicep_quote(self.display_name.as_str())),
            format!("param multiTenant = {}", self.multi_tenant),
        ];
        if let Some(issuer) = &self.issuer {
            lines.push(format!("param issuer = {}", bicep_quote(issuer)));
            lines.push(format!("param subject = {}", bicep_quote(&self.subject())));
            lines.push(format!("param audience = {}", bicep_quote(self.audience())));
        }
        lines.join("\n") + "\n"
    }

    fn cert_manager(&self) -> String {
        let client = self.client_id.as_ref().map_or("CLIENT-ID", Guid::as_str);
        CERT_MANAGER
            .replace("@@SECRET@@", &self.secret())
            .replace("@@NAMESPACE@@", self.namespace.as_str())
            .replace("@@TENANT@@", self.tenant.as_str())
            .replace("@@CLIENT@@", client)
    }

    fn account(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {
                "name": self.service_account.as_str(),
                "namespace": self.namespace.as_str(),
                // The label is the permission: without it no ConnectorInstance can use the account.
                "labels": {"securityv0.com/scan": "true"},
            },
            "automountServiceAccountToken": false,
        })
    }
}

/// The `ConnectorInstance` of a tenant.
#[derive(Clone, Copy, Debug)]
pub struct Instance<'a> {
    /// Directory id.
    pub tenant: &'a Guid,
    /// Application id.
    pub client_id: &'a Guid,
    /// The estate.
    pub namespace: &'a Namespace,
    /// Its name.
    pub name: &'a InstanceName,
    /// Who scans run as.
    pub service_account: &'a AccountName,
    /// The cloud.
    pub cloud: Cloud,
    /// How scans sign in.
    pub method: Method,
    /// The collection revision that the user could read about.
    pub revision: u32,
}

impl Instance<'_> {
    /// The resource. Serialised, never pasted together: a value cannot become structure.
    pub fn resource(&self) -> Value {
        let auth = match self.method {
            Method::WorkloadIdentity => json!({"workloadIdentity": {}}),
            Method::Certificate => json!({"clientCertificate": {"secretName": secret_name(self.name)}}),
        };
        let mut entra = json!({"tenantId": self.tenant.as_str(), "clientId": self.client_id.as_str(), "auth": auth});
        if self.cloud != Cloud::Public {
            entra["cloud"] = json!(self.cloud.api());
        }
        json!({
            "apiVersion": "securityv0.com/v1alpha1",
            "kind": "ConnectorInstance",
            "metadata": {"name": self.name.as_str(), "namespace": self.namespace.as_str()},
            "spec": {
                "system": "Entra",
                "serviceAccountName": self.service_account.as_str(),
                "acceptedCollectionRevision": self.revision,
                "entra": entra,
            },
        })
    }

    /// What its estate needs before it can scan, when the onboarding was for another estate or tenant.
    pub fn needs(&self) -> String {
        let Self { namespace, service_account: account, tenant, .. } = self;
        let credential = match self.method {
            Method::WorkloadIdentity => {
                let subject = subject(namespace, account);
                format!("a federated credential of the application for the subject {subject}")
            }
            Method::Certificate => {
                let secret = secret_name(self.name);
                format!("the Secret {secret} with tls.crt, tls.key and the key target, which names {tenant}")
            }
        };
        format!(
            "Needed in {namespace} unless it is there: the ServiceAccount {account} with the label \
             securityv0.com/scan=true, and {credential}."
        )
    }
}

/// Who a scan is to Entra when it shows its account's token.
fn subject(namespace: &Namespace, account: &AccountName) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

/// Name of the Secret that holds an instance's certificate.
fn secret_name(name: &InstanceName) -> String {
    format!("sv0-{name}")
}

/// YAML of one resource.
pub fn yaml(value: &Value) -> anyhow::Result<String> {
    Ok(serde_yaml::to_string(value)?)
}

fn pretty(value: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

#[cfg(test)]
mod tests {
    use sv0_api::ConnectorInstance;

    use super::*;
    use crate::manifest::tests::SMALL;

    fn plan(issuer: Option<&str>) -> Plan {
        Plan {
            tenant: "00000000-0000-0000-0000-00000000000a".parse().unwrap(),
            client_id: Some("00000000-0000-0000-0000-00000000000b".parse().unwrap()),
            namespace: "team-a".parse().unwrap(),
            service_account: "scan-entra".parse().unwrap(),
            name: "entra".parse().unwrap(),
            display_name: "SecurityV0 scan".parse().unwrap(),
            cloud: Cloud::Public,
            set: PermissionSet::Minimal,
            multi_tenant: false,
            issuer: issuer.map(str::to_owned),
        }
    }

    fn file(plan: &Plan, name: &str) -> Option<String> {
        let files = plan.files(&Manifest::parse(SMALL).unwrap()).unwrap();
        files.into_iter().find(|file| file.name == name).map(|file| file.content)
    }

    #[test]
    fn workload_identity() {
        let plan = plan(Some("https://oidc.example.com/id/A"));
        for name in [
            "README.md",
            "values.sh",
            "application.json",
            "federated-credential.json",
            "main.bicepparam",
            "serviceaccount.yaml",
            "connectorinstance.yaml",
        ] {
            insta::assert_snapshot!(format!("workload_identity__{name}"), file(&plan, name).unwrap());
        }
        assert!(file(&plan, "certificate.sh").is_none());
    }

    #[test]
    fn certificate_in_another_cloud_with_several_tenants() {
        let plan = Plan { cloud: Cloud::UsGov, multi_tenant: true, ..plan(None) };
        for name in ["README.md", "values.sh", "application.json", "certificate.yaml", "connectorinstance.yaml"] {
            insta::assert_snapshot!(format!("certificate__{name}"), file(&plan, name).unwrap());
        }
        assert!(file(&plan, "main.bicep").is_none(), "Graph templates deploy in the public cloud only");
        assert!(file(&plan, "federated-credential.json").is_none());
    }

    #[test]
    fn without_an_application_there_is_no_instance() {
        let plan = Plan { client_id: None, ..plan(Some("https://oidc.example.com")) };
        assert!(file(&plan, "connectorinstance.yaml").is_none());
        assert!(plan.next_steps().contains("--client-id"));
    }

    #[test]
    fn the_instance_is_one() {
        let text = file(&plan(Some("https://oidc.example.com")), "connectorinstance.yaml").unwrap();
        let instance: ConnectorInstance = serde_yaml::from_str(&text).unwrap();
        let entra = instance.spec.entra.unwrap();
        assert!(entra.auth.workload_identity.is_some() && entra.auth.client_secret.is_none());
        assert_eq!(entra.tenant_id, "00000000-0000-0000-0000-00000000000a");
        assert_eq!(instance.spec.accepted_collection_revision, Some(2));
    }

    #[test]
    fn an_instance_elsewhere_says_what_it_needs_there() {
        let (plan, tenant) = (plan(None), "00000000-0000-0000-0000-00000000000c".parse().unwrap());
        let needs = |method| {
            let client_id = plan.client_id.as_ref().unwrap();
            let (namespace, name, service_account) = (&plan.namespace, &plan.name, &plan.service_account);
            let (cloud, revision) = (plan.cloud, 2);
            Instance { tenant: &tenant, client_id, namespace, name, service_account, cloud, method, revision }.needs()
        };
        let federated = needs(Method::WorkloadIdentity);
        assert!(federated.contains("for the subject system:serviceaccount:team-a:scan-entra."), "{federated}");
        let certificate = needs(Method::Certificate);
        assert!(certificate.contains("Secret sv0-entra") && certificate.contains("0000000c."), "{certificate}");
    }

    /// Whatever a value is, it stays a value: in a script, in Bicep, in JSON and in YAML.
    #[test]
    fn hostile_values_stay_values() {
        let hostile = "x'; touch pwned; ' $(touch pwned) `touch pwned` \" \\ ${a}: #";
        let issuer = "https://oidc.example.com/'${x}\nparam displayName = 'y'\n---\na: b";
        let plan = Plan { display_name: hostile.parse().unwrap(), ..plan(Some(issuer)) };
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("values.sh");
        std::fs::write(&script, file(&plan, "values.sh").unwrap() + "printf %s \"$SV0_DISPLAY_NAME\"\n").unwrap();
        let output = std::process::Command::new("sh").arg(&script).current_dir(dir.path()).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), hostile);
        assert!(!dir.path().join("pwned").exists());
        let parameters = file(&plan, "main.bicepparam").unwrap();
        assert_eq!(parameters.lines().filter(|line| line.starts_with("param displayName")).count(), 1);
        assert!(!parameters.contains("'${"), "{parameters}");
        let json: Value = serde_json::from_str(&file(&plan, "federated-credential.json").unwrap()).unwrap();
        assert_eq!(json["issuer"], issuer);
    }

    #[test]
    fn the_scripts_are_shell() {
        let plan = plan(None);
        for name in ["onboard.sh", "certificate.sh", "values.sh"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            std::fs::write(&path, file(&plan, name).unwrap()).unwrap();
            let status = std::process::Command::new("sh").arg("-n").arg(&path).status().unwrap();
            assert!(status.success(), "{name}");
        }
    }
}
