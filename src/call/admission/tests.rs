use std::task::Poll;

use uuid::Uuid;

use super::*;

fn admission(running: usize, of_tenant: usize) -> Admission {
    Admission::new(AdmissionOptions { running, running_of_tenant: of_tenant, waiting: 6, waiting_of_tenant: 4 })
}

fn tenants() -> (TenantId, TenantId) {
    (TenantId::from(Uuid::from_u128(1)), TenantId::from(Uuid::from_u128(2)))
}

#[tokio::test]
async fn a_quiet_tenant_comes_before_the_queue_of_a_noisy_one() {
    let (admission, (noisy, quiet)) = (admission(2, 2), tenants());
    drop(admission.enter(quiet).await.unwrap());
    let (first, _second) = (admission.enter(noisy).await.unwrap(), admission.enter(noisy).await.unwrap());
    let mut queued = Box::pin(admission.enter(noisy));
    assert!(futures_util::poll!(&mut queued).is_pending());
    let mut other = Box::pin(admission.enter(quiet));
    assert!(futures_util::poll!(&mut other).is_pending());
    drop(first);
    assert!(matches!(futures_util::poll!(&mut other), Poll::Ready(Ok(_))));
    assert!(futures_util::poll!(&mut queued).is_ready(), "the quiet one's permit was dropped at once");
}

#[tokio::test]
async fn a_tenant_leaves_room_for_others_and_has_its_share_while_they_call() {
    let (admission, (noisy, quiet)) = (admission(4, 1), tenants());
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(admission.enter(noisy).await.unwrap());
    }
    let mut queued = Box::pin(admission.enter(noisy));
    assert!(futures_util::poll!(&mut queued).is_pending(), "the last place is for whoever comes");
    assert!(matches!(futures_util::poll!(Box::pin(admission.enter(quiet))), Poll::Ready(Ok(_))));
    running.truncate(1);
    assert!(futures_util::poll!(&mut queued).is_pending(), "one at a time while another calls");
    running.clear();
    assert!(matches!(futures_util::poll!(&mut queued), Poll::Ready(Ok(_))));
}

#[tokio::test]
async fn queues_are_bounded_and_refuse_at_once() {
    let (admission, (noisy, quiet)) = (admission(1, 1), tenants());
    let running = admission.enter(noisy).await.unwrap();
    let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(admission.enter(noisy))).collect();
    for call in &mut waiting {
        assert!(futures_util::poll!(call).is_pending());
    }
    assert_eq!(admission.enter(noisy).await.unwrap_err(), Refused::Overloaded, "its own bound");
    let mut others: Vec<_> = (0..2).map(|_| Box::pin(admission.enter(quiet))).collect();
    for call in &mut others {
        assert!(futures_util::poll!(call).is_pending());
    }
    assert_eq!(admission.enter(quiet).await.unwrap_err(), Refused::Overloaded, "the bound of all");
    // Whoever gives up makes no room before its turn, and costs nobody a permit when it comes.
    drop(waiting);
    drop(running);
    for call in others {
        call.await.unwrap();
    }
    let state = admission.state();
    assert_eq!((state.running, state.waiting, state.tenants.len()), (0, 0, 0));
}

#[tokio::test]
async fn settings_bound_a_tenant() {
    let (admission, (bound, free)) = (admission(4, 4), tenants());
    let settings = serde_json::json!({ "limits": { "calls_per_minute": 2, "concurrent_calls": 1 } });
    admission.learn(bound, TenantLimits::from_settings(&settings));
    let first = admission.enter(bound).await.unwrap();
    let mut second = Box::pin(admission.enter(bound));
    assert!(futures_util::poll!(&mut second).is_pending(), "one at a time");
    drop(first);
    second.await.unwrap();
    let Err(Refused::TooOften { retry_after }) = admission.enter(bound).await else { panic!("the third in a minute") };
    assert!(retry_after > Duration::from_secs(20) && retry_after <= Duration::from_secs(30), "{retry_after:?}");
    drop(admission.enter(free).await.unwrap());
    admission.learn(bound, TenantLimits::default());
    drop(admission.enter(bound).await.unwrap());
    let senseless = serde_json::json!({ "limits": { "calls_per_minute": -1, "concurrent_calls": "many" } });
    assert_eq!(TenantLimits::from_settings(&senseless), TenantLimits::default());
}
