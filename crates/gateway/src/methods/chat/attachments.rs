//! Pictures that come with a message: what they are is told by their bytes, whatever their sender says.

use data_encoding::BASE64;
use protocol::Refusal;
use protocol::chat::Attachment;
use providers::Image;

use crate::limits::{ATTACHMENT_BYTES, ATTACHMENTS, ATTACHMENTS_BYTES};

/// The pictures of a message.
///
/// # Errors
/// Where there are too many, one is too large, is no base64, or is no picture that models are shown.
pub(crate) fn images(method: &str, attachments: &[Attachment]) -> Result<Vec<Image>, Refusal> {
    if attachments.len() > ATTACHMENTS {
        let text = format!("invalid {method} params: at /attachments: at most {ATTACHMENTS} are taken");
        return Err(Refusal::invalid(text));
    }
    let mut total = 0;
    let mut images = Vec::with_capacity(attachments.len());
    for (at, attachment) in attachments.iter().enumerate() {
        let (image, bytes) = image(attachment).map_err(|why| {
            let name = attachment.file_name.as_deref().map(|it| format!(" ({})", base::text::line(it, 80)));
            let name = name.unwrap_or_default();
            Refusal::invalid(format!("invalid {method} params: at /attachments/{at}{name}: {why}"))
        })?;
        total += bytes;
        if total > ATTACHMENTS_BYTES {
            let most = ATTACHMENTS_BYTES / 1_000_000;
            let text = format!("invalid {method} params: at /attachments: more than {most} MB in all");
            return Err(Refusal::invalid(text));
        }
        images.push(image);
    }
    Ok(images)
}

fn image(attachment: &Attachment) -> Result<(Image, usize), String> {
    let content = attachment.content.as_deref().unwrap_or_default();
    let base64 = match content.strip_prefix("data:") {
        Some(url) => url.split_once(";base64,").map(|it| it.1).ok_or("the data: URL is not in base64")?,
        None => content,
    };
    let base64 = base64.trim();
    if base64.is_empty() {
        return Err("has no content".to_owned());
    }
    if base64.len() / 4 * 3 > ATTACHMENT_BYTES + 2 {
        return Err(format!("is larger than the {} MB allowed", ATTACHMENT_BYTES / 1_000_000));
    }
    let bytes = BASE64.decode(base64.as_bytes()).map_err(|_| "the content is not in base64".to_owned())?;
    if bytes.len() > ATTACHMENT_BYTES {
        return Err(format!("is larger than the {} MB allowed", ATTACHMENT_BYTES / 1_000_000));
    }
    let mime = kind(&bytes).ok_or(
        "this version takes pictures alone (PNG, JPEG, GIF, WebP), and this is none by its bytes: send other \
         files as text, or put them into the workspace",
    )?;
    Ok((Image { mime: mime.into(), data: base64.into() }, bytes.len()))
}

/// What a picture is, by how its file begins.
pub(crate) fn kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n...";

    fn attached(content: &str) -> Attachment {
        Attachment {
            content: Some(content.to_owned()),
            file_name: Some("a.bin".into()),
            ..Attachment::default()
        }
    }

    fn check(content: &str, expected: &str) {
        let told = match images("chat.send", &[attached(content)]) {
            Ok(images) => images[0].mime.to_string(),
            Err(refusal) => refusal.message,
        };
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn a_picture_is_one_by_its_bytes() {
        for (bytes, mime) in [
            (PNG, "image/png"),
            (b"\xff\xd8\xff\xe0".as_slice(), "image/jpeg"),
            (b"GIF89a", "image/gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ] {
            check(&BASE64.encode(bytes), mime);
            check(&format!("data:text/plain;base64,{}", BASE64.encode(bytes)), mime);
        }
        for other in [b"%PDF-1.7".as_slice(), b"hello", b"RIFF\0\0\0\0WAVE", b"<svg/>"] {
            check(&BASE64.encode(other), "at /attachments/0 (a.bin): this version takes pictures alone");
        }
        check("", "has no content");
        check("not base64!", "not in base64");
        check("data:image/png,abc", "the data: URL is not in base64");
    }

    #[test]
    fn pictures_are_bounded_one_by_one_and_in_all() {
        let mut large = PNG.to_vec();
        large.resize(ATTACHMENT_BYTES, 0);
        check(&BASE64.encode(&large), "image/png");
        let all = vec![attached(&BASE64.encode(&large)); ATTACHMENTS_BYTES / ATTACHMENT_BYTES + 1];
        assert!(images("m", &all).expect_err("too much").message.contains("in all"));
        large.push(0);
        check(&BASE64.encode(&large), "is larger than the 5 MB allowed");
        let many = vec![attached("x"); ATTACHMENTS + 1];
        assert!(images("m", &many).expect_err("too many").message.contains("at most"));
    }
}
