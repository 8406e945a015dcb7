//! Whom the clients of a load test trust: this very engine.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::net::tls::Certificate;

/// What clients shake hands with: whoever shows the certificate that is in use now, and has its key. No
/// authority is asked and no name compared, since who made the certificate, and for which name, says nothing
/// about whether the other end is this process.
pub(super) fn in_this_engine(certificate: &Arc<Certificate>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let own = OwnCertificate { certificate: Arc::clone(certificate), algorithms };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(own))
        .with_no_client_auth();
    // Each client is to cost what a newcomer costs.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct OwnCertificate {
    certificate: Arc<Certificate>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OwnCertificate {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.certificate.is(shown) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::UnknownIssuer.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, pem::PemObject},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    };
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::{
        compute::Compute,
        config::{Config, Tls},
        net::stream::TlsStream,
    };

    async fn certificate(folder: &Path) -> (Arc<Certificate>, rcgen::CertifiedKey<rcgen::KeyPair>) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let tls = Tls { enabled: true, cert: Some(cert), key: Some(key), require: false };
        let config = Config { tls, ..Config::default() };
        let compute = Compute::start().unwrap();
        (Certificate::load(&config, &compute).await.unwrap().unwrap(), made)
    }

    /// What a client that trusts `own` makes of whoever answers with `server`.
    async fn meets(own: &Arc<Certificate>, server: Arc<ServerConfig>) -> std::io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let client = TlsStream::connect(tcp, in_this_engine(own).unwrap());
        let (client, _) = tokio::join!(client, TlsStream::accept(accepted, server));
        client.map(drop)
    }

    /// Shows a certificate and signs with a key, whether or not they go together.
    #[derive(Debug)]
    struct Shows(Arc<CertifiedKey>);

    impl ResolvesServerCert for Shows {
        fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }

    #[tokio::test]
    async fn only_the_certificate_in_use_is_trusted_and_only_with_its_key() {
        let folders = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (own, made) = certificate(folders.0.path()).await;
        let (other, stolen) = certificate(folders.1.path()).await;
        meets(&own, own.server_config()).await.unwrap();
        let error = meets(&own, other.server_config()).await.unwrap_err();
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");

        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let provider = ring::default_provider();
            let key = PrivateKeyDer::from_pem_slice(stolen.signing_key.serialize_pem().as_bytes());
            let key = provider.key_provider.load_private_key(key.unwrap()).unwrap();
            let shows = CertifiedKey::new(vec![made.cert.der().clone()], key);
            let server = ServerConfig::builder_with_provider(Arc::new(provider))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(Shows(Arc::new(shows))));
            let error = meets(&own, Arc::new(server)).await.unwrap_err();
            assert!(error.to_string().contains("BadSignature"), "{version:?}: {error}");
        }
    }
}
