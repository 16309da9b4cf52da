//! The local socket of a running registry: its path in, a listener or a connection out. IO.
//!
//! Only the user that runs the registry (and root) may connect: the file is closed to others before anybody can. A path
//! that is too long for a socket's address is reached through its open directory.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::{UnixListener, UnixStream};

/// The address of a socket holds 107 bytes.
const LONGEST: usize = 100;
const BACKLOG: i32 = 16;

/// Listens at `path`, in the place of whatever a predecessor has left there.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let next = path.with_extension("sock.new");
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let (_directory, short) = shortened(&next)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&short)?)?;
    fs::set_permissions(&next, Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, BACKLOG)?;
    fs::rename(&next, path)?;
    UnixListener::from_std(net::UnixListener::from(socket))
}

/// Connects to a registry that listens at `path`.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_directory, short) = shortened(path)?;
    UnixStream::connect(short).await
}

/// A path of the same file that fits into an address, good for as long as the directory is open.
fn shortened(path: &Path) -> io::Result<(Option<File>, PathBuf)> {
    if path.as_os_str().len() <= LONGEST {
        return Ok((None, path.to_owned()));
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok((None, path.to_owned()));
    };
    let directory = File::open(directory)?;
    let short = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(name);
    Ok((Some(directory), short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_takes_the_place_of_its_predecessor_and_is_closed_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        drop(bind(&path).unwrap());
        assert_eq!(
            connect(&path).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        let listener = bind(&path).unwrap();
        let (connected, accepted) = tokio::join!(connect(&path), listener.accept());
        connected.unwrap();
        accepted.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_path_longer_than_an_address_can_be_used() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let path = deep.join("admin.sock");
        let listener = bind(&path).unwrap();
        let (connected, accepted) = tokio::join!(connect(&path), listener.accept());
        connected.unwrap();
        accepted.unwrap();
    }
}
