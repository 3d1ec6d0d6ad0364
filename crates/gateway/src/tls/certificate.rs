//! A certificate of the gateway's own, for those who pin its fingerprint.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use base::{clock, file, random};
use data_encoding::BASE64;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
    SerialNumber, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::{CERTIFICATE, KEY, Unusable, bytes, unusable};

/// What it is called.
const NAME: &str = "openclaw-gateway";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it holds; nobody but the one who pins it asks.
const DAYS: u32 = 3650;

/// Makes a certificate, and the key where there is none. No file that is there is written over.
///
/// # Errors
/// Names the file that could not be written, or the key that is of no use.
pub(super) fn make(certificate: &Path, key: &Path, address: IpAddr) -> Result<(), Unusable> {
    for (name, path) in [(CERTIFICATE, certificate), (KEY, key)] {
        let folder = path.parent().unwrap_or(path);
        if !folder.is_dir() {
            file::private_folder(folder).map_err(|error| unusable(name, path, base::text::chain(&error)))?;
        }
    }
    let random = SystemRandom::new();
    if !key.exists() {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
        let made = made.map_err(|_| unusable(KEY, key, "cannot be made: the system has no randomness"))?;
        write(KEY, key, &pem("PRIVATE KEY", made.as_ref()))?;
    }
    let text = bytes(KEY, key)?;
    let pkcs8 = PrivatePkcs8KeyDer::from_pem_slice(&text).ok();
    let pair = pkcs8.and_then(|it| {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, it.secret_pkcs8_der(), &random).ok()
    });
    let pair = pair.ok_or_else(|| unusable(KEY, key, "is no key of ours, and has no certificate"))?;
    let signed = params(address).self_signed(&Own(pair, random));
    let signed = signed.map_err(|error| unusable(CERTIFICATE, certificate, error))?;
    write(CERTIFICATE, certificate, &pem("CERTIFICATE", signed.der()))
}

fn write(name: &'static str, path: &Path, text: &str) -> Result<(), Unusable> {
    let written = file::create_new(path, text.as_bytes());
    written.map(|_| ()).map_err(|error| unusable(name, path, base::text::chain(&error)))
}

fn params(address: IpAddr) -> CertificateParams {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(clock::now_ms());
    let mut params = CertificateParams::default();
    // A clock that is a little behind sees a certificate that holds.
    params.not_before = now - DAY;
    params.not_after = now + DAY * DAYS;
    // Positive, as the format wants it, and without a zero in front.
    let mut serial = random::bytes::<16>();
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let mut addresses = vec![IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
    if !address.is_unspecified() && !addresses.contains(&address) {
        addresses.push(address);
    }
    let name = "localhost".try_into().expect("letters alone");
    params.subject_alt_names = std::iter::once(SanType::DnsName(name))
        .chain(addresses.into_iter().map(SanType::IpAddress))
        .collect();
    params
}

/// The key, as what makes certificates wants it.
struct Own(EcdsaKeyPair, SystemRandom);

impl PublicKeyData for Own {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Own {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signed = self.0.sign(&self.1, message);
        signed.map(|it| it.as_ref().to_vec()).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    const WIDTH: usize = 64;
    let text = BASE64.encode(der);
    let lines = text.as_bytes().chunks(WIDTH).map(|it| String::from_utf8_lossy(it) + "\n");
    format!("-----BEGIN {kind}-----\n{}-----END {kind}-----\n", lines.collect::<String>())
}
