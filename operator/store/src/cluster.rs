//! The API server: token reviews, namespace UIDs, and the one ConfigMap with the store's certificate.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace as KubeNamespace};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};

use crate::gate::{ReviewError, Reviewed, Reviewer};
use crate::keys::{Namespace, Uid};

/// Name of the ConfigMap with the store's certificate.
pub const CA_CONFIG_MAP: &str = "securityv0-store-ca";
/// Its key.
pub const CA_KEY: &str = "ca.crt";
/// Longest wait for the API server in one request's way.
const PATIENCE: Duration = Duration::from_secs(10);

/// The API server of the cluster that the store runs in.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl Cluster {
    /// From a ready client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates or mends the ConfigMap with the store's certificate. Gives whether something had to be written.
    pub async fn publish_ca(&self, namespace: &Namespace, ca_pem: &str) -> Result<bool, kube::Error> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), namespace.as_str());
        let there = api.get_opt(CA_CONFIG_MAP).await?;
        match there {
            Some(map) if map.data.as_ref().and_then(|d| d.get(CA_KEY)).is_some_and(|pem| pem == ca_pem) => Ok(false),
            Some(_) => {
                let patch = serde_json::json!({ "data": { CA_KEY: ca_pem } });
                api.patch(CA_CONFIG_MAP, &PatchParams::default(), &Patch::Merge(&patch)).await?;
                Ok(true)
            }
            None => {
                api.create(&PostParams::default(), &ca_config_map(ca_pem)).await?;
                Ok(true)
            }
        }
    }
}

fn ca_config_map(ca_pem: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(CA_CONFIG_MAP.to_owned()),
            labels: Some(BTreeMap::from([
                ("app.kubernetes.io/name".to_owned(), "securityv0".to_owned()),
                ("app.kubernetes.io/component".to_owned(), "store".to_owned()),
                ("app.kubernetes.io/managed-by".to_owned(), "securityv0".to_owned()),
            ])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(CA_KEY.to_owned(), ca_pem.to_owned())])),
        ..ConfigMap::default()
    }
}

impl Reviewer for Cluster {
    fn review<'a>(
        &'a self,
        token: &'a str,
        audiences: &'a [String],
    ) -> BoxFuture<'a, Result<Option<Reviewed>, ReviewError>> {
        async move {
            let review = TokenReview {
                spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(audiences.to_vec()) },
                ..TokenReview::default()
            };
            let api = Api::<TokenReview>::all(self.client.clone());
            let answer = patiently(api.create(&PostParams::default(), &review)).await?;
            Ok(verdict(answer))
        }
        .boxed()
    }

    fn namespace_uid<'a>(&'a self, namespace: &'a Namespace) -> BoxFuture<'a, Result<Option<Uid>, ReviewError>> {
        async move {
            let api = Api::<KubeNamespace>::all(self.client.clone());
            let there = patiently(api.get_opt(namespace.as_str())).await?;
            // A namespace that is being deleted takes nothing more.
            let live = there.filter(|n| n.metadata.deletion_timestamp.is_none());
            Ok(live.and_then(|n| n.metadata.uid).and_then(|uid| Uid::parse(&uid).ok()))
        }
        .boxed()
    }
}

/// What a review comes to. A server that does not know audiences answers without any: that is a refusal.
fn verdict(review: TokenReview) -> Option<Reviewed> {
    let status = review.status.filter(|s| s.authenticated == Some(true))?;
    let audiences = status.audiences.filter(|a| !a.is_empty())?;
    let username = status.user.and_then(|u| u.username)?;
    Some(Reviewed { username, audiences })
}

/// One call with a bound on its time. Error texts of the API server may repeat the request: only their kind is kept.
async fn patiently<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ReviewError> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => Err(ReviewError(format!("it answered with status {}", status.code))),
        Ok(Err(_)) => Err(ReviewError("no connection to it".to_owned())),
        Err(_) => Err(ReviewError("it did not answer in time".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};

    use super::*;

    fn review(authenticated: Option<bool>, audiences: Option<Vec<String>>, username: Option<&str>) -> TokenReview {
        let user = UserInfo { username: username.map(str::to_owned), ..UserInfo::default() };
        let status = TokenReviewStatus { authenticated, audiences, user: Some(user), ..TokenReviewStatus::default() };
        TokenReview { status: Some(status), ..TokenReview::default() }
    }

    #[test]
    fn only_an_authenticated_answer_with_audiences_and_a_user_counts() {
        let a = || Some(vec!["a".to_owned()]);
        assert!(verdict(review(Some(true), a(), Some("u"))).is_some());
        assert_eq!(verdict(review(Some(false), a(), Some("u"))), None);
        assert_eq!(verdict(review(None, a(), Some("u"))), None);
        assert_eq!(verdict(review(Some(true), None, Some("u"))), None);
        assert_eq!(verdict(review(Some(true), Some(vec![]), Some("u"))), None);
        assert_eq!(verdict(review(Some(true), a(), None)), None);
        assert_eq!(verdict(TokenReview::default()), None);
    }
}
