//! Names that arrive in a request, checked, and the object keys made from them. Pure.
//!
//! Nothing reaches an object key that is not one of these types, so no request can leave its estate by its spelling.

use object_store::path::Path;

/// A path component that is not what it should be. The sentence never repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path's {what} must be {shape}")]
pub struct BadName {
    what: &'static str,
    shape: &'static str,
}

macro_rules! name {
    ($(#[doc = $doc:literal])* $type:ident, $what:literal, $shape:literal, $check:path) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// Checks and wraps.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                if $check(text) { Ok(Self(text.to_owned())) } else { Err(BadName { what: $what, shape: $shape }) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// Name of a Kubernetes namespace.
    Namespace, "namespace", "a DNS label", is_dns_label
);
name!(
    /// Name of a `ConnectorInstance`.
    Instance, "instance", "a DNS label", is_dns_label
);
name!(
    /// UID of a Kubernetes object.
    Uid, "UID", "a lower-case UUID", is_uuid
);
name!(
    /// SHA-256 in lower-case hex.
    Sha256, "digest", "64 lower-case hex digits", is_sha256
);
name!(
    /// Id of a scan and of its snapshot; sorts by time.
    ScanId, "scan id", "14 digits, a hyphen and 8 lower-case hex digits", is_scan_id
);

impl ScanId {
    /// When the scan was ordered, by its id: milliseconds since 1970.
    pub fn millis(&self) -> u64 {
        self.0.split('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX)
    }
}

fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_lower_hex(b: u8) -> bool {
    b.is_ascii_digit() || (b'a'..=b'f').contains(&b)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { is_lower_hex(b) })
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_lower_hex)
}

fn is_scan_id(text: &str) -> bool {
    text.len() == 23
        && text.bytes().enumerate().all(|(i, b)| match i {
            0..=13 => b.is_ascii_digit(),
            14 => b == b'-',
            _ => is_lower_hex(b),
        })
}

/// What an evaluation leaves behind, named by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blob {
    /// An evidence pack.
    Pack,
    /// A ledger.
    Ledger,
}

impl Blob {
    /// Directory name, also the metric's label.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Pack => "packs",
            Self::Ledger => "ledgers",
        }
    }
}

/// Where one instance's snapshots lie, or one estate's packs or ledgers. Also the unit of quota and of locking.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Home(String);

impl Home {
    /// Of an instance.
    pub fn instance(namespace_uid: &Uid, instance_uid: &Uid) -> Self {
        Self(format!("{ESTATES}/{}/{}", namespace_uid.as_str(), instance_uid.as_str()))
    }

    /// Of an estate's packs or ledgers.
    pub fn blobs(namespace_uid: &Uid, blob: Blob) -> Self {
        Self(format!("{ESTATES}/{}/{}", namespace_uid.as_str(), blob.directory()))
    }

    /// The prefix of all its keys.
    pub fn prefix(&self) -> Path {
        Path::from(self.0.as_str())
    }

    /// Key of a part.
    pub fn part(&self, sha256: &Sha256) -> Path {
        self.below(PARTS, sha256.as_str())
    }

    /// Key of a visible manifest.
    pub fn snapshot(&self, id: &ScanId) -> Path {
        self.below(SNAPSHOTS, id.as_str())
    }

    /// Key of a retired manifest, whose parts are still spared for a while.
    pub(crate) fn retired(&self, id: &ScanId) -> Path {
        self.below(RETIRED, id.as_str())
    }

    /// Key of the list of snapshots that the collector spares.
    pub(crate) fn pinned(&self) -> Path {
        Path::from(format!("{}/{PINNED}", self.0))
    }

    /// Prefix of all visible manifests.
    pub(crate) fn snapshots(&self) -> Path {
        Path::from(format!("{}/{SNAPSHOTS}", self.0))
    }

    /// Key of a pack or ledger.
    pub fn blob(&self, sha256: &Sha256) -> Path {
        Path::from(format!("{}/{}", self.0, sha256.as_str()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix of the whole estate, of which this home is a part.
    pub(crate) fn estate(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(estate, _)| estate)
    }

    fn below(&self, directory: &str, name: &str) -> Path {
        Path::from(format!("{}/{directory}/{name}", self.0))
    }
}

/// The prefix of everything that is stored of an estate.
pub(crate) fn estate_prefix(namespace_uid: &Uid) -> Path {
    Path::from(format!("{ESTATES}/{}", namespace_uid.as_str()))
}

/// Key of what is remembered of an estate itself.
pub(crate) fn estate_record(namespace_uid: &Uid) -> Path {
    Path::from(format!("{ESTATES}/{}/{RECORD}", namespace_uid.as_str()))
}

/// First component of every estate's keys.
pub(crate) const ESTATES: &str = "estates";
pub(crate) const PARTS: &str = "parts";
pub(crate) const SNAPSHOTS: &str = "snapshots";
pub(crate) const RETIRED: &str = "retired";
pub(crate) const PINNED: &str = "pinned.json";
const RECORD: &str = "estate.json";
/// The store's own certificate and keys.
pub(crate) const TLS_KEY: &str = "system/tls.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_place_are_refused() {
        for bad in ["", ".", "..", "a/b", "a%2fb", "A", "-a", "a-", "a.b", "a\0", "a#1", "é", &"g".repeat(64)] {
            assert!(Namespace::parse(bad).is_err(), "{bad:?}");
            assert!(Uid::parse(bad).is_err(), "{bad:?}");
            assert!(Sha256::parse(bad).is_err(), "{bad:?}");
            assert!(ScanId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Sha256::parse(&"A".repeat(64)).is_err());
        assert!(Uid::parse("6f9619ff-8b86-d011-b42d-00cf4fc964FF").is_err());
        assert!(Uid::parse("6f9619ff-8b86-d011-b42d000cf4fc964ff").is_err());
        assert!(ScanId::parse("1764000000000-0123456789").is_err());
    }

    #[test]
    fn keys_are_formed_from_uids() {
        let ns = Uid::parse("6f9619ff-8b86-d011-b42d-00cf4fc964ff").unwrap();
        let uid = Uid::parse("00000000-0000-4000-8000-000000000001").unwrap();
        let home = Home::instance(&ns, &uid);
        let id = ScanId::parse("01764000000000-0123abcd").unwrap();
        assert_eq!(
            home.snapshot(&id).as_ref(),
            "estates/6f9619ff-8b86-d011-b42d-00cf4fc964ff/00000000-0000-4000-8000-000000000001/snapshots/01764000000000-0123abcd"
        );
        assert_eq!((home.estate(), id.millis()), ("estates/6f9619ff-8b86-d011-b42d-00cf4fc964ff", 1_764_000_000_000));
        let sha = Sha256::parse(&"0".repeat(64)).unwrap();
        assert!(Home::blobs(&ns, Blob::Pack).blob(&sha).as_ref().contains("/packs/000"));
    }
}
