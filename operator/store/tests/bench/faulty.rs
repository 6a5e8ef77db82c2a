//! A back end that stops working after a given number of writes and deletions: a process that was killed there.
#![allow(dead_code, reason = "each suite uses its part of this")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What the fault looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The write is not carried out.
    Killed,
    /// The disk is full.
    Full,
}

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    fault: Fault,
    left: Arc<AtomicI64>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, fault: Fault, changes: i64) -> Arc<Self> {
        Arc::new(Self { inner, fault, left: Arc::new(AtomicI64::new(changes)) })
    }

    /// Works without fault from now on.
    pub(crate) fn mend(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }
}

fn spend(left: &AtomicI64, fault: Fault) -> Result<()> {
    if left.fetch_sub(1, Ordering::SeqCst) > 0 {
        return Ok(());
    }
    let source = match fault {
        Fault::Killed => std::io::Error::other("killed"),
        Fault::Full => std::io::Error::from(std::io::ErrorKind::StorageFull),
    };
    Err(Error::Generic { store: "faulty", source: Box::new(source) })
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        spend(&self.left, self.fault)?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        unimplemented!("the store writes no multipart objects")
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (left, fault) = (Arc::clone(&self.left), self.fault);
        let allowed = locations.map(move |location| spend(&left, fault).and(location)).boxed();
        self.inner.delete_stream(allowed)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        unimplemented!("the store copies nothing")
    }
}
