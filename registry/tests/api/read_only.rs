//! A registry that is told to be read-only, beside one that writes to the same volume.

use http::Method;
use portolan_config::Health;
use portolan_registry::serve;

use crate::client::Target;
use crate::fixture::{open, surroundings};

#[tokio::test]
async fn a_registry_that_is_told_to_be_read_only_serves_pulls_and_refuses_everything_else() {
    let writer = open().await;
    let image = writer.push_image("a", "v1", "x").await;
    let mut config = portolan_config::Config::default();
    config.http.address = "127.0.0.1:0".parse().unwrap();
    config.health = Some(Health {
        address: "127.0.0.1:0".parse().unwrap(),
    });
    config.storage.volume.path = writer.directory.path().join("volume");
    config.storage.read_only = true;
    let reader = serve::start(&config, surroundings()).await.unwrap();
    let target = |address: std::net::SocketAddr| Target {
        address,
        host: address.to_string(),
        tls: None,
    };
    let client = target(reader.address);
    client.get("/v2/a/manifests/v1").await.expect(200);
    for (method, path) in [
        (Method::POST, "/v2/a/blobs/uploads/".to_owned()),
        (Method::PUT, "/v2/a/manifests/v2".to_owned()),
        (Method::DELETE, "/v2/a/manifests/v1".to_owned()),
        (Method::DELETE, format!("/v2/a/manifests/{}", image.digest)),
    ] {
        let refused = client
            .asking(method, &path)
            .header("content-type", image.media_type)
            .body(image.text.clone())
            .send()
            .await
            .expect(405);
        assert_eq!(refused.code(), "UNSUPPORTED");
        assert!(refused.text().contains("read-only"), "{refused:?}");
    }
    let probes = target(reader.health_address.unwrap());
    probes.get("/readyz").await.expect(200);
    let metrics = probes.get("/metrics").await.expect(200);
    assert!(
        metrics.text().contains("portolan_registry_storage_read_only 1"),
        "{}",
        metrics.text()
    );
    // what another program does to the volume is seen
    writer.push_image("a", "v2", "y").await;
    client.get("/v2/a/manifests/v2").await.expect(200);
    let tags = client.get("/v2/a/tags/list").await.expect(200).json();
    assert_eq!(tags["tags"], serde_json::json!(["v1", "v2"]));
    assert!(reader.stop().await);
    assert!(
        writer
            .directory
            .path()
            .join("volume/portolan/v1/admin.sock")
            .exists()
    );
}
