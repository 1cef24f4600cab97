//! A bucket, through `object_store`.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    ClientConfigKey, Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig, WriteMultipart,
};
use tokio::runtime::{Builder, Runtime};

use super::{Found, S3, Spool, Store, StoreError};

/// An object is sent in parts of so many bytes; a smaller one at once.
const PART: usize = 8 << 20;
/// Parts that are under way at once.
const AT_ONCE: usize = 4;
/// Tries of a request after the first, and how long they may take together.
const RETRIES: (usize, Duration) = (4, Duration::from_secs(20));

/// Objects of a bucket whose keys begin with a prefix.
#[derive(Debug)]
pub struct Remote {
    /// Without a `/` at its end.
    url: String,
    prefix: Path,
    objects: Arc<dyn ObjectStore>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Remote {
    /// `s3://bucket/prefix`; endpoint, region and credentials come from `AWS_*` variables, or the machine's role.
    ///
    /// # Errors
    /// A URL without a bucket, variables that contradict each other, or no threads.
    pub fn s3(url: &str) -> Result<Self, StoreError> {
        let fault = |error: &dyn std::fmt::Display| StoreError::new(url, error);
        let (bucket, prefix) =
            url.strip_prefix(S3).unwrap_or_default().split_once('/').unwrap_or((&url[S3.len()..], ""));
        if bucket.is_empty() {
            return Err(fault(&"names no bucket: s3://BUCKET/PREFIX"));
        }
        let client = |key, value: &str| (AmazonS3ConfigKey::Client(key), value.to_owned());
        let options = [
            client(ClientConfigKey::ConnectTimeout, "5 seconds"),
            client(ClientConfigKey::ReadTimeout, "30 seconds"),
            client(ClientConfigKey::Timeout, "10 minutes"),
        ];
        let retry = RetryConfig { max_retries: RETRIES.0, retry_timeout: RETRIES.1, ..RetryConfig::default() };
        let builder =
            options.into_iter().fold(AmazonS3Builder::from_env(), |b, (key, value)| b.with_config(key, value));
        let objects = builder.with_bucket_name(bucket).with_retry(retry).build().map_err(|error| fault(&error))?;
        Self::new(url, prefix, Arc::new(objects))
    }

    /// Objects of any store of the crate's.
    ///
    /// # Errors
    /// A prefix that is none, or no threads.
    pub fn new(url: &str, prefix: &str, objects: Arc<dyn ObjectStore>) -> Result<Self, StoreError> {
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|error| StoreError::new(url, error))?;
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("object-store").enable_all().build();
        let runtime = runtime.map_err(|error| StoreError::new(url, format!("no threads for it: {error}")))?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), prefix, objects, runtime: Some(runtime) })
    }

    fn path(&self, key: &str) -> Path {
        let parts = key.split('/').filter(|part| !part.is_empty());
        parts.fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// Waits for an answer about a key.
    fn ask<T>(&self, key: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        self.wait(key, work)?.map_err(|error| StoreError::new(self.name(key), error))
    }

    fn wait<T>(&self, key: &str, work: impl Future<Output = T>) -> Result<T, StoreError> {
        let runtime = self.runtime.as_ref();
        runtime.map(|runtime| runtime.block_on(work)).ok_or_else(|| StoreError::new(self.name(key), "is closed"))
    }

    fn found(&self, meta: &ObjectMeta) -> Option<Found> {
        let key: Vec<_> = meta.location.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
        Some(Found { key: key.join("/"), modified: meta.last_modified.into() })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nothing is under way: every call waits for its answer.
            runtime.shutdown_background();
        }
    }
}

impl Store for Remote {
    fn name(&self, key: &str) -> String {
        if key.is_empty() { self.url.clone() } else { format!("{}/{key}", self.url) }
    }

    fn list(&self, folder: &str) -> Result<Vec<Found>, StoreError> {
        let path = self.path(folder);
        let listed: Vec<ObjectMeta> = self.ask(folder, self.objects.list(Some(&path)).try_collect())?;
        let mut found: Vec<Found> = listed.iter().filter_map(|meta| self.found(meta)).collect();
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn find(&self, key: &str) -> Result<Option<Found>, StoreError> {
        match self.wait(key, self.objects.head(&self.path(key)))? {
            Ok(meta) => Ok(self.found(&meta)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(StoreError::new(self.name(key), error)),
        }
    }

    fn open(&self, key: &str) -> Result<File, StoreError> {
        let fault = |error: io::Error| StoreError::new(self.name(key), format!("fetching it: {error}"));
        let mut file = temporary().map_err(fault)?;
        let mut stream = self.ask(key, self.objects.get(&self.path(key)))?.into_stream();
        while let Some(bytes) = self.ask(key, stream.try_next())? {
            file.write_all(&bytes).map_err(fault)?;
        }
        file.rewind().map_err(fault)?;
        Ok(file)
    }

    fn tail(&self, key: &str, most: u64) -> Result<Vec<u8>, StoreError> {
        let options = GetOptions { range: Some(GetRange::Suffix(most)), ..GetOptions::default() };
        let path = self.path(key);
        let fetch = async { self.objects.get_opts(&path, options).await?.bytes().await };
        self.ask(key, fetch).map(|bytes| bytes.to_vec())
    }

    fn spool(&self, key: &str) -> Result<Spool, StoreError> {
        let file = temporary().map_err(|error| StoreError::new(self.name(key), format!("its draft: {error}")))?;
        Ok(Spool { file, path: None })
    }

    fn publish(&self, key: &str, spool: &mut Spool) -> Result<(), StoreError> {
        let fault = |error: io::Error| StoreError::new(self.name(key), format!("its draft: {error}"));
        let (path, file) = (self.path(key), &mut spool.file);
        let bytes = file.seek(SeekFrom::End(0)).map_err(fault)?;
        file.rewind().map_err(fault)?;
        if bytes <= PART as u64 {
            let mut whole = Vec::with_capacity(bytes as usize);
            file.read_to_end(&mut whole).map_err(fault)?;
            return self.ask(key, self.objects.put(&path, whole.into())).map(|_| ());
        }
        self.ask(key, send(&*self.objects, &path, file))
    }

    fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.wait(key, self.objects.delete(&self.path(key)))? {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::new(self.name(key), error)),
        }
    }

    /// Drafts have no name: the system removes them with their process.
    fn clear_drafts(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Sends a file part by part.
async fn send(objects: &dyn ObjectStore, path: &Path, file: &mut File) -> Result<(), Error> {
    let mut upload = WriteMultipart::new_with_chunk_size(objects.put_multipart(path).await?, PART);
    match feed(&mut upload, file).await {
        Ok(()) => upload.finish().await.map(|_| ()),
        Err(error) => {
            // Parts that it does not take back go by the bucket's own rule.
            let _ = upload.abort().await;
            Err(error)
        }
    }
}

async fn feed(upload: &mut WriteMultipart, file: &mut File) -> Result<(), Error> {
    let mut part = vec![0; PART];
    loop {
        let read = file.read(&mut part).map_err(|error| Error::Generic { store: "draft", source: Box::new(error) })?;
        if read == 0 {
            return Ok(());
        }
        upload.wait_for_capacity(AT_ONCE).await?;
        upload.write(&part[..read]);
    }
}

/// A file that is gone when it is closed.
fn temporary() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("segue-{}", ulid::Ulid::generate()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
