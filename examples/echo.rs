//! A WebSocket echo over the engine's socket, for the original Autobahn suite:
//!
//! ```sh
//! cargo run --release --example echo -- 127.0.0.1:9001
//! wstest -m fuzzingclient -s fuzzingclient.json   # with "url": "ws://127.0.0.1:9001"
//! ```

#![allow(clippy::indexing_slicing, unreachable_pub, reason = "shared with the tests")]

#[path = "../tests/engine/support/echo.rs"]
mod echo;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    tokio::runtime::Runtime::new()?.block_on(async {
        echo::serve(tokio::net::TcpListener::bind(address).await?).await;
        Ok(())
    })
}
