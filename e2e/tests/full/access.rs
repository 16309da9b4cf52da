//! Who may do what with the generated credentials.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portolan_e2e::crane::Crane;
use portolan_e2e::registry::{Login, Registry};
use portolan_e2e::scene;
use serde_json::json;

use crate::hello;

#[tokio::test]
async fn only_the_right_password_with_the_right_to_push_pushes() {
    scene::play("access", async |scene| {
        let registry = Registry::ready(scene, "registry").await?;
        let image = hello(scene, "access").await?;
        let layout = image.layout.display().to_string();
        let right = registry.login("push").await?;
        Crane::with(&registry, &right)
            .await?
            .push(&image, "team/hello:v1")
            .await?;

        let wrong = Crane::with(&registry, &with_password(&right, "wrong")).await?;
        let target = wrong.name("team/hello:v2");
        demand_denied(&wrong.refusal(&["push", &layout, &target]).await?)?;
        demand_denied(&wrong.refusal(&["digest", &wrong.name("team/hello:v1")]).await?)?;

        let anonymous = Crane::with(
            &registry,
            &Login {
                docker_config: "{}".into(),
                ..right.clone()
            },
        )
        .await?;
        demand_denied(
            &anonymous
                .refusal(&["digest", &anonymous.name("team/hello:v1")])
                .await?,
        )?;

        let pull = Crane::login(&registry, "pull").await?;
        ensure!(
            pull.digest("team/hello:v1").await? == image.digest,
            "the pull Secret reads another image"
        );
        demand_denied(&pull.refusal(&["push", &layout, &target]).await?)?;
        demand_denied(&pull.refusal(&["delete", &pull.name("team/hello:v1")]).await?)?;
        let push = Crane::with(&registry, &right).await?;
        demand_denied(&push.refusal(&["delete", &push.name("team/hello:v1")]).await?)?;
        ensure!(
            push.digest("team/hello:v1").await? == image.digest,
            "the image has changed"
        );
        Ok(())
    })
    .await;
}

fn with_password(login: &Login, password: &str) -> Login {
    let auth = STANDARD.encode(format!("{}:{password}", login.username));
    let config =
        json!({"auths": {&login.endpoint: {"username": login.username, "password": password, "auth": auth}}});
    Login {
        password: password.to_owned(),
        docker_config: config.to_string(),
        ..login.clone()
    }
}

fn demand_denied(answer: &str) -> Result<()> {
    let denied = ["401", "403", "UNAUTHORIZED", "DENIED"]
        .iter()
        .any(|word| answer.contains(word));
    ensure!(denied, "refused for another reason: {answer}");
    Ok(())
}
