//! A bus inside an actix-web service: a request is answered 202 once its message is durable, and a
//! handler in the same program does the work.

use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer, post};
use busway::{Bus, Delivery, Message, PublishError};
use busway_examples::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

#[post("/orders")]
async fn order(bus: Data<Bus>, body: Bytes) -> HttpResponse {
    match bus.publish(Message::new("order.placed", body)).await {
        Ok(published) => HttpResponse::Accepted().body(published.id),
        Err(PublishError::Failed { why, .. }) => HttpResponse::ServiceUnavailable().body(why),
        // It may be durable: the client sends it again, with an id of its own.
        Err(unknown) => HttpResponse::GatewayTimeout().body(unknown.to_string()),
    }
}

#[actix_web::main]
async fn main() -> Result {
    let directory = tempfile::tempdir()?;
    let (handled, mut orders) = mpsc::channel(16);
    let bus = Bus::builder("shop").embedded(directory.path()).build()?;
    bus.subscribe("shipping", "order.*", move |delivery: Delivery| {
        let handled = handled.clone();
        async move { Ok(handled.send(delivery.json::<u64>()?).await?) }
    })?;
    bus.start().await?;

    let shared = Data::new(bus.clone());
    let server = HttpServer::new(move || App::new().app_data(shared.clone()).service(order))
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))?;
    let address = *server.addrs().first().ok_or("no address")?;
    let server = server.run();
    let serving = (server.handle(), tokio::spawn(server));

    let mut peer = tokio::net::TcpStream::connect(address).await?;
    peer.write_all(
        b"POST /orders HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-length: 2\r\n\r\n17",
    )
    .await?;
    let mut answer = String::new();
    peer.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(orders.recv().await, Some(17));
    println!("ordered by HTTP, durable, shipped");

    // First whoever publishes, then the bus.
    serving.0.stop(true).await;
    serving.1.await??;
    Ok(bus.shutdown().await?)
}
