//! A transaction pooler in small: each transaction may run on another server connection.

use std::sync::Arc;

use gridflow_testkit::postgres::Postgres;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Mutex,
};

use crate::{Durability, Error, Options, Refusal, connect};

#[tokio::test]
async fn a_transaction_pooler_is_refused() {
    let url = Postgres::shared().create_database().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pooled = url
        .replace(&format!(":{}/", Postgres::shared().port()), &format!(":{}/", listener.local_addr().unwrap().port()));
    let pooler = tokio::spawn(serve(listener));
    let options = Options { durability: Durability::NotNeeded, ..Options::default() };
    let refused = connect(&pooled, options.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(Refusal::TransactionPooler)), "{refused}");
    connect(&url, options).await.unwrap();
    pooler.abort();
}

type Idle = Arc<Mutex<Vec<TcpStream>>>;

async fn serve(listener: TcpListener) {
    let idle = Idle::default();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        tokio::spawn(handle(client, Arc::clone(&idle)));
    }
}

async fn handle(mut client: TcpStream, idle: Idle) -> std::io::Result<()> {
    let startup = loop {
        let message = read_startup(&mut client).await?;
        // A request for TLS is declined.
        if message[4..8] != 80_877_103u32.to_be_bytes() {
            break message;
        }
        client.write_all(b"N").await?;
    };
    let mut held = None;
    client.write_all(b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\x01\0\0\0\x01Z\0\0\0\x05I").await?;
    loop {
        let (_, query) = read_message(&mut client).await?;
        let mut server = match held.take() {
            Some(server) => server,
            None => match idle.lock().await.pop() {
                Some(server) => server,
                None => open(&startup).await?,
            },
        };
        server.write_all(&query).await?;
        let is_idle = relay(&mut server, &mut client).await?;
        if is_idle {
            idle.lock().await.push(server);
        } else {
            held = Some(server);
        }
    }
}

async fn open(startup: &[u8]) -> std::io::Result<TcpStream> {
    let mut server = TcpStream::connect(("127.0.0.1", Postgres::shared().port())).await?;
    server.write_all(startup).await?;
    relay(&mut server, &mut tokio::io::sink()).await?;
    Ok(server)
}

/// Passes answers on until the server is ready again; says whether it is outside a transaction.
async fn relay(server: &mut TcpStream, client: &mut (impl AsyncWriteExt + Unpin)) -> std::io::Result<bool> {
    loop {
        let (kind, message) = read_message(server).await?;
        client.write_all(&message).await?;
        if kind == b'Z' {
            return Ok(message[5] == b'I');
        }
    }
}

async fn read_startup(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = client.read_u32().await?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(length as usize, 0);
    client.read_exact(&mut message[4..]).await?;
    Ok(message)
}

async fn read_message(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let length = stream.read_u32().await?;
    let mut message = [&[kind][..], &length.to_be_bytes()].concat();
    message.resize(length as usize + 1, 0);
    stream.read_exact(&mut message[5..]).await?;
    Ok((kind, message))
}
