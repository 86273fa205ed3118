use tonic_health::pb::health_server::Health as _;

use super::*;

fn request(service: &str) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest { service: service.to_owned() })
}

async fn check(health: &Health, service: &str) -> Result<ServingStatus, Status> {
    let service_impl = Service { health: health.clone() };
    service_impl.check(request(service)).await.map(|response| response.into_inner().status())
}

async fn watch(health: &Health, service: &str) -> impl Stream<Item = ServingStatus> + Unpin + use<> {
    let service_impl = Service { health: health.clone() };
    let changes = service_impl.watch(request(service)).await.unwrap().into_inner();
    changes.map(|change| change.unwrap().status())
}

#[tokio::test]
async fn the_process_serves_while_its_services_load() {
    let health = Health::new();
    health.set("a", false);
    assert_eq!(check(&health, "").await.unwrap(), ServingStatus::Serving);
    assert_eq!(check(&health, "a").await.unwrap(), ServingStatus::NotServing);
    assert!(!health.ready());
    assert_eq!(health.not_serving(), ["a"]);
    health.set("a", true);
    assert_eq!(check(&health, "a").await.unwrap(), ServingStatus::Serving);
    assert!(health.ready());
}

#[tokio::test]
async fn a_process_that_speaks_for_itself_decides_on_readiness() {
    let health = Health::new();
    health.set("", false);
    health.set("a", true);
    assert_eq!(check(&health, "").await.unwrap(), ServingStatus::NotServing);
    assert!(!health.ready(), "still starting, though every service it named serves");
    health.set("b", false);
    health.set("", true);
    assert_eq!(check(&health, "").await.unwrap(), ServingStatus::Serving);
    assert!(health.ready(), "one broken service of several");
    assert_eq!(health.not_serving(), ["b"]);
    health.drain();
    assert_eq!(check(&health, "").await.unwrap(), ServingStatus::NotServing);
    assert!(!health.ready());
}

#[tokio::test]
async fn an_unknown_service_is_not_found_and_can_be_watched() {
    let health = Health::new();
    assert_eq!(check(&health, "a").await.unwrap_err().code(), tonic::Code::NotFound);
    let mut changes = watch(&health, "a").await;
    assert_eq!(changes.next().await, Some(ServingStatus::ServiceUnknown));
    health.set("a", true);
    assert_eq!(changes.next().await, Some(ServingStatus::Serving));
    health.remove("a");
    assert_eq!(changes.next().await, Some(ServingStatus::ServiceUnknown));
}

#[tokio::test]
async fn who_watches_hears_of_its_own_service_only() {
    let health = Health::new();
    health.set("a", true);
    let mut changes = watch(&health, "a").await;
    assert_eq!(changes.next().await, Some(ServingStatus::Serving));
    health.set("b", true);
    health.set("a", true);
    health.set("a", false);
    assert_eq!(changes.next().await, Some(ServingStatus::NotServing));
}

#[tokio::test]
async fn a_drain_is_final_and_closing_ends_the_streams() {
    let health = Health::new();
    health.set("a", true);
    let mut process = watch(&health, "").await;
    let mut service = watch(&health, "a").await;
    assert_eq!(process.next().await, Some(ServingStatus::Serving));
    assert_eq!(service.next().await, Some(ServingStatus::Serving));

    health.drain();
    assert_eq!(process.next().await, Some(ServingStatus::NotServing));
    assert_eq!(service.next().await, Some(ServingStatus::NotServing));
    health.set("a", true);
    assert_eq!(check(&health, "a").await.unwrap(), ServingStatus::NotServing, "a late model changes nothing");
    assert!(health.draining() && !health.ready());

    health.close();
    assert_eq!(process.next().await, None);
    assert_eq!(service.next().await, None);
}
