//! `gateway.tls`: TLS on the gateway's port, by a given certificate or by one of the gateway's own.

mod certificate;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use profile::{Ambient, Instance};
use ring::digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::config::Found;

/// The part that is degraded while the files are not what is served.
pub(crate) const PART: &str = "tls";
/// Where a generated pair is, in the state folder.
const FOLDER: &str = "gateway/tls";
/// The most bytes of a file that are read.
const LARGEST: u64 = 1024 * 1024;

/// TLS on the gateway's port.
#[derive(Debug, Default, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Settings {
    /// Speak TLS, and nothing else, on the port. The control socket stays as it is.
    pub enabled: bool,
    /// Make a certificate of the gateway's own where neither file is there; true by default.
    pub auto_generate: Option<bool>,
    /// The certificate, with those of its issuers behind it, in PEM; `gateway/tls/gateway-cert.pem` in the state folder by
    /// default.
    pub cert_path: Option<String>,
    /// Its private key, in PEM; `gateway/tls/gateway-key.pem` in the state folder by default.
    pub key_path: Option<String>,
    /// Of the original: a bundle of issuers. Clients are known by their token here, so that it has no effect.
    pub ca_path: Option<String>,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {what}", path.display())]
pub struct Unusable {
    /// The key of the config that names the file.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// What to do about it.
    pub remedy: &'static str,
}

/// TLS as it is spoken.
#[derive(Debug)]
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    served: Mutex<Arc<Served>>,
}

/// What was read of the files.
#[derive(Debug)]
pub(crate) struct Served {
    /// SHA-256 of the certificate, as `AA:BB:…`.
    pub(crate) fingerprint: String,
    config: Arc<ServerConfig>,
    /// Of both files.
    digest: [u8; 32],
}

impl Settings {
    pub(crate) fn check(&self, found: &mut Found<'_>) {
        if self.ca_path.is_some() {
            found.without_effect(&["gateway", "tls", "caPath"]);
        }
        let alone = self.cert_path.is_some() != self.key_path.is_some();
        if self.enabled && alone {
            let (key, other) =
                if self.cert_path.is_some() { ("certPath", "keyPath") } else { ("keyPath", "certPath") };
            let words = format!("is given, but gateway.tls.{other} is not; give both or neither");
            found.wrong(&["gateway", "tls", key], words);
        }
    }
}

impl Tls {
    /// As the config asks for it; `None` where it does not. Makes a certificate where there is none and that is allowed.
    ///
    /// # Errors
    /// Names the file that is of no use.
    pub(crate) fn open(
        settings: &Settings,
        instance: &Instance,
        ambient: &Ambient,
        address: IpAddr,
    ) -> Result<Option<Self>, Unusable> {
        if !settings.enabled {
            return Ok(None);
        }
        let own = |name: &str| instance.state_dir.join(FOLDER).join(name);
        let named = |it: &Option<String>| it.as_deref().map(|it| ambient.path(it));
        let certificate = named(&settings.cert_path);
        let is_ours = certificate.is_none();
        let certificate = certificate.unwrap_or_else(|| own("gateway-cert.pem"));
        let key = named(&settings.key_path).unwrap_or_else(|| own("gateway-key.pem"));
        let is_missing = (!certificate.exists(), !key.exists());
        // Of our own pair the certificate may be lost: the key makes it anew.
        if settings.auto_generate.unwrap_or(true) && is_missing.0 && (is_missing.1 || is_ours) {
            certificate::make(&certificate, &key, address)?;
        }
        let served = Mutex::new(Arc::new(read(&certificate, &key)?));
        Ok(Some(Self { certificate, key, served }))
    }

    /// What is served now.
    pub(crate) fn served(&self) -> Arc<Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves what the files hold now. Whether that is something else; connections that stand keep what they have.
    ///
    /// # Errors
    /// Names the file that is of no use; what was served before still is.
    pub(crate) fn renew(&self) -> Result<bool, Unusable> {
        let before = self.served();
        let (certificate, key) = (bytes(CERTIFICATE, &self.certificate)?, bytes(KEY, &self.key)?);
        if digest_of(&certificate, &key) == before.digest {
            return Ok(false);
        }
        let served = read(&self.certificate, &self.key)?;
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(served);
        Ok(true)
    }

    /// The files, to be watched.
    pub(crate) fn files(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }
}

impl Served {
    /// For one connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

const CERTIFICATE: &str = "gateway.tls.certPath";
const KEY: &str = "gateway.tls.keyPath";
const PAIR: &str = "put a certificate and its key there, both in PEM, or take both paths out of gateway.tls";

fn unusable(key: &'static str, path: &Path, what: impl ToString) -> Unusable {
    Unusable { key, path: path.to_path_buf(), what: what.to_string(), remedy: PAIR }
}

fn bytes(key: &'static str, path: &Path) -> Result<Vec<u8>, Unusable> {
    let read = std::fs::metadata(path).and_then(|it| match it.len() {
        size if size > LARGEST => Err(std::io::Error::other(format!("{size} bytes are no such file"))),
        _ => std::fs::read(path),
    });
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => unusable(key, path, "is not there"),
        _ => unusable(key, path, format!("cannot be read: {error}")),
    })
}

fn digest_of(certificate: &[u8], key: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    [certificate, &[0], key].iter().for_each(|it| context.update(it));
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn read(certificate: &Path, key: &Path) -> Result<Served, Unusable> {
    let (chain_text, key_text) = (bytes(CERTIFICATE, certificate)?, bytes(KEY, key)?);
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain_text).collect();
    let chain = chain.ok().filter(|it| !it.is_empty());
    let chain = chain.ok_or_else(|| unusable(CERTIFICATE, certificate, "holds no certificate in PEM"))?;
    // What the parser says may show what it has read.
    let secret = PrivateKeyDer::from_pem_slice(&key_text);
    let secret = secret.map_err(|_| unusable(KEY, key, "holds no private key in PEM"))?;
    let fingerprint = fingerprint(&chain[0]);
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks what it speaks")
        .with_no_client_auth()
        .with_single_cert(chain, secret);
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            unusable(KEY, key, format!("is not the key of {}", certificate.display()))
        }
        other => unusable(CERTIFICATE, certificate, format!("cannot be served: {other}")),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Served { fingerprint, config: Arc::new(config), digest: digest_of(&chain_text, &key_text) })
}

/// `AA:BB:…`, as clients pin it.
fn fingerprint(certificate: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, certificate);
    digest.as_ref().iter().map(|it| format!("{it:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_pair_is_made_once_and_what_is_wrong_names_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let [certificate, key] = ["a/cert.pem", "a/key.pem"].map(|it| folder.path().join(it));
        certificate::make(&certificate, &key, Ipv4Addr::LOCALHOST.into()).expect("made");
        let served = read(&certificate, &key).expect("served");
        assert_eq!(served.fingerprint.len(), 32 * 3 - 1);
        let mode = std::fs::metadata(&key).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // The key that is there makes the certificate that is lost.
        let before = std::fs::read(&key).expect("there");
        std::fs::remove_file(&certificate).expect("ours");
        certificate::make(&certificate, &key, Ipv4Addr::LOCALHOST.into()).expect("made");
        assert_eq!(std::fs::read(&key).expect("there"), before);
        read(&certificate, &key).expect("one belongs to the other");

        let other = folder.path().join("b/key.pem");
        certificate::make(&folder.path().join("b/cert.pem"), &other, Ipv4Addr::LOCALHOST.into())
            .expect("made");
        let error = read(&certificate, &other).expect_err("another key");
        assert!(error.key == KEY && error.what.starts_with("is not the key of "), "{error}");
        let error = read(&key, &certificate).expect_err("the wrong way round");
        assert!(error.key == CERTIFICATE && error.what == "holds no certificate in PEM", "{error}");
        let error = read(&certificate, &certificate).expect_err("no key");
        assert!(error.key == KEY && error.what == "holds no private key in PEM", "{error}");
        let error = read(&certificate, &folder.path().join("none")).expect_err("no file");
        assert!(error.to_string().ends_with("/none: is not there"), "{error}");
    }
}
