//! The API server as a [`FindingSink`], and the status of the Estate and of `FindingExceptions`.
//!
//! Reads and writes exactly three kinds in one namespace: Findings, and the status of the other two; of `ConnectorInstances`
//! it lists which there are. The client repeats requests that the server is too busy for; what is left here is translated into [`SinkError`].

use std::collections::BTreeSet;

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams,
};
use kube::core::DeserializeGuard;
use kube::{Client, Error, ResourceExt as _};
use serde_json::{Value, json};
use sv0_api::{
    ConnectorInstance, ESTATE_NAME, Estate, EstateStatus, Finding, FindingException, FindingExceptionStatus,
};

use crate::sink::{Desired, EstateSink, ExceptionSink, FindingSink, InstanceSource, SinkError, Stored};

/// Who writes, as it stands in `managedFields`.
const FIELD_MANAGER: &str = "securityv0-evaluate";
/// Findings read in one request.
const PAGE: u32 = 500;

/// One estate on a real cluster.
pub struct Cluster {
    findings: Api<DynamicObject>,
    estates: Api<Estate>,
    /// One that cannot be read must not hide the others.
    exceptions: Api<DeserializeGuard<FindingException>>,
    instances: Api<ConnectorInstance>,
    kind: ApiResource,
}

impl Cluster {
    /// The estate `namespace`, reached with `client`.
    pub fn new(client: Client, namespace: &str) -> Self {
        let kind = ApiResource::erase::<Finding>(&());
        Self {
            findings: Api::namespaced_with(client.clone(), namespace, &kind),
            estates: Api::namespaced(client.clone(), namespace),
            exceptions: Api::namespaced(client.clone(), namespace),
            instances: Api::namespaced(client, namespace),
            kind,
        }
    }

    fn object(&self, desired: &Desired, metadata: ObjectMeta) -> DynamicObject {
        let mut object = DynamicObject::new(&desired.name, &self.kind);
        object.metadata = ObjectMeta { name: Some(desired.name.clone()), ..metadata };
        object.data = json!({ "spec": desired.spec });
        object
    }
}

impl FindingSink for Cluster {
    async fn list(&self) -> Result<Vec<Stored>, SinkError> {
        let mut all = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = self.findings.list(&params).await.map_err(translate)?;
            all.extend(page.items.into_iter().map(stored));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Stored>, SinkError> {
        Ok(self.findings.get_opt(name).await.map_err(translate)?.map(stored))
    }

    async fn create(&self, desired: &Desired) -> Result<(), SinkError> {
        let metadata = ObjectMeta { labels: Some(desired.labels.clone()), ..ObjectMeta::default() };
        self.findings.create(&post(), &self.object(desired, metadata)).await.map(drop).map_err(translate)
    }

    async fn replace(&self, desired: &Desired, over: &Stored) -> Result<(), SinkError> {
        let metadata = ObjectMeta {
            resource_version: Some(over.resource_version.clone()),
            labels: Some(over.merged_labels(desired)),
            annotations: Some(over.annotations.clone()).filter(|annotations| !annotations.is_empty()),
            ..ObjectMeta::default()
        };
        let object = self.object(desired, metadata);
        self.findings.replace(&desired.name, &post(), &object).await.map(drop).map_err(translate)
    }

    async fn delete(&self, name: &str) -> Result<(), SinkError> {
        self.findings.delete(name, &DeleteParams::default()).await.map(drop).map_err(translate)
    }
}

impl EstateSink for Cluster {
    async fn estate_status(&self) -> Result<Option<EstateStatus>, SinkError> {
        Ok(self.estates.get(ESTATE_NAME).await.map_err(translate)?.status)
    }

    /// All fields of the status are ours, so one apply replaces what an earlier one set.
    async fn write_estate_status(&self, status: &EstateStatus) -> Result<(), SinkError> {
        let kind = ApiResource::erase::<Estate>(&());
        let body = json!({ "apiVersion": kind.api_version, "kind": kind.kind, "status": status });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.estates.patch_status(ESTATE_NAME, &params, &Patch::Apply(body)).await.map(drop).map_err(translate)
    }
}

impl ExceptionSink for Cluster {
    async fn list_exceptions(&self) -> Result<Vec<FindingException>, SinkError> {
        let mut all = Vec::new();
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = self.exceptions.list(&params).await.map_err(translate)?;
            all.extend(page.items.into_iter().filter_map(|object| object.0.ok()));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    async fn get_exception(&self, name: &str) -> Result<Option<FindingException>, SinkError> {
        Ok(self.exceptions.get_opt(name).await.map_err(translate)?.and_then(|object| object.0.ok()))
    }

    async fn write_exception_status(
        &self,
        seen: &FindingException,
        status: &FindingExceptionStatus,
    ) -> Result<(), SinkError> {
        let kind = ApiResource::erase::<FindingException>(&());
        let body = json!({
            "apiVersion": kind.api_version, "kind": kind.kind, "status": status,
            // What was evaluated must still stand there.
            "metadata": {"name": seen.name_any(), "resourceVersion": seen.resource_version()},
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let written = self.exceptions.patch_status(&seen.name_any(), &params, &Patch::Apply(body)).await;
        written.map(drop).map_err(translate)
    }
}

impl InstanceSource for Cluster {
    /// One list, answered from the API server's own state and never from a cache that may lag: an instance that is missing
    /// in it loses what is stored of it.
    async fn instance_uids(&self) -> Result<BTreeSet<String>, SinkError> {
        let all = self.instances.list_metadata(&ListParams::default()).await.map_err(translate)?;
        if all.metadata.continue_.is_some_and(|token| !token.is_empty()) {
            return Err(SinkError::Unreachable);
        }
        all.items.into_iter().map(|one| one.metadata.uid.ok_or(SinkError::Unreachable)).collect()
    }
}

fn post() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn stored(mut object: DynamicObject) -> Stored {
    Stored {
        name: object.name_any(),
        resource_version: object.resource_version().unwrap_or_default(),
        labels: object.metadata.labels.take().unwrap_or_default(),
        annotations: object.metadata.annotations.take().unwrap_or_default(),
        spec: object.data.get_mut("spec").map(Value::take).unwrap_or_default(),
    }
}

/// Statuses that say "try again later" are treated like an unreachable server: the client has repeated them already.
fn translate(error: Error) -> SinkError {
    let Error::Api(status) = error else { return SinkError::Unreachable };
    if status.is_already_exists() {
        SinkError::AlreadyExists
    } else if status.is_conflict() {
        SinkError::Conflict
    } else if status.is_not_found() {
        SinkError::NotFound
    } else if status.code == 410 || status.code == 429 || status.code >= 500 {
        SinkError::Unreachable
    } else {
        SinkError::Refused(status.code)
    }
}
