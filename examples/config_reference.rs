//! Writes the reference of all keys into `docs/configuration.md`.

use std::{error::Error, fs};

use civicpress_realtime::config::{REFERENCE_MARK, reference};

fn main() -> Result<(), Box<dyn Error>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let document = fs::read_to_string(path)?;
    let (head, _) = document.split_once(REFERENCE_MARK).ok_or("the document has no mark")?;
    fs::write(path, format!("{head}{REFERENCE_MARK}\n{}", reference()))?;
    Ok(())
}
