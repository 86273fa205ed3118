//! The bytes of a file, unpacked.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;
use indicatif::ProgressBar;
use liblzma::{
    read::XzDecoder,
    stream::{CONCATENATED, Stream},
};

use crate::error::Error;

/// What unpacking may take: `xz -9` needs 65 MiB, and a file that asks for more is not from there.
const XZ_MEMORY: u64 = 256 << 20;

/// Opens `path`, or stdin for `-`. `bytes` counts what is read of the packed file.
pub(crate) fn open(path: &Path, bytes: &ProgressBar) -> Result<Box<dyn BufRead + Send>, Error> {
    let file: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(bytes.wrap_read(io::stdin()))
    } else {
        Box::new(bytes.wrap_read(File::open(path).map_err(Error::file("cannot open", path))?))
    };
    Ok(match path.extension().and_then(|end| end.to_str()) {
        Some("xz") => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)
                .map_err(|error| Error::file("cannot unpack", path)(error.into()))?;
            Box::new(BufReader::new(XzDecoder::new_stream(file, stream)))
        }
        Some("gz") => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        _ => Box::new(BufReader::new(file)),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &str = "text\tlabel\nhello\tgreeting\n";

    fn read(name: &str, bytes: &[u8]) -> io::Result<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        io::read_to_string(open(&path, &ProgressBar::hidden()).expect("there"))
    }

    #[test]
    fn packed_files_are_read_as_they_are_packed() {
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(TEXT.as_bytes()).expect("memory");
        let xz = xz.finish().expect("memory");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(TEXT.as_bytes()).expect("memory");
        let gz = gz.finish().expect("memory");
        assert_eq!(read("rows.tsv", TEXT.as_bytes()).expect("plain"), TEXT);
        assert_eq!(read("rows.tsv.xz", &xz).expect("packed"), TEXT);
        assert_eq!(read("rows.tsv.xz", &[xz.clone(), xz.clone()].concat()).expect("packed"), TEXT.repeat(2));
        assert_eq!(read("rows.tsv.gz", &gz).expect("packed"), TEXT);
        assert!(read("rows.tsv.xz", &xz[..xz.len() - 9]).is_err(), "broken off");
        assert!(read("rows.tsv.gz", TEXT.as_bytes()).is_err(), "not packed");
    }
}
