//! The program inside the image that the tests push: prints the text of the image's last layer.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let message = std::fs::read("/message")?;
    std::io::stdout().write_all(&message)
}
