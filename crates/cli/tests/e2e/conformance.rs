//! What RFC 6455 and RFC 9112 say of frames and of heads that mean two things: each is refused as the RFC wants it,
//! and never read in a second way.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown};

use serde_json::json;

use crate::knock::{
    UPGRADE, closed, dial, exchange, frame, header, hello, read_frame, response, status, upgrade,
};
use crate::scene::Scene;

/// First bytes of frames: the last of a message, or not.
const TEXT: u8 = 0x81;
const TEXT_BEGINS: u8 = 0x01;
const GOES_ON: u8 = 0x00;
const ENDS: u8 = 0x80;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

fn health(id: &str) -> Vec<u8> {
    json!({"type": "req", "id": id, "method": "health", "params": {"word": "ä€𝄞"}}).to_string().into_bytes()
}

#[test]
fn conformance_a_message_in_pieces_is_one_message() {
    let scene = Scene::new();
    let mut stream = hello(scene.gateway.port());
    let text = health("whole");
    // A piece a byte, so that letters are cut as well, and control frames between them.
    let mut bytes = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        let last = at + 1 == text.len();
        let first = match (at, last) {
            (0, _) => TEXT_BEGINS,
            (_, false) => GOES_ON,
            (_, true) => ENDS,
        };
        bytes.extend(frame(first, &[*byte]));
        match at {
            5 => bytes.extend(frame(PING, b"in the middle")),
            9 => bytes.extend(frame(PONG, b"unasked")),
            12 => bytes.extend(frame(GOES_ON, b"")),
            _ => {}
        }
    }
    stream.write_all(&bytes).expect("it reads");
    let mut ponged = false;
    loop {
        let (first, payload) = read_frame(&mut stream).expect("it answers");
        ponged |= first == PONG && payload == b"in the middle";
        if payload.starts_with(br#"{"type":"res","id":"whole","ok":true"#) {
            break;
        }
    }
    assert!(ponged, "the ping in the middle was not answered at once");
}

#[test]
fn conformance_what_is_no_frame_ends_the_connection_with_its_code() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    let check = |what: &str, bytes: &[u8], code: u16| {
        let mut stream = hello(port);
        stream.write_all(bytes).expect("it reads");
        assert_eq!(closed(&mut stream), code, "{what}");
        let mut rest = Vec::new();
        // It hangs up, in whichever way.
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, [0; 0], "{what}: something came after the close");
    };
    let long = [b'x'; 126];
    check("invalid UTF-8", &frame(TEXT, b"\"\xff\xfe\""), 1007);
    check("a surrogate", &frame(TEXT, b"\xed\xa0\x80"), 1007);
    let pieces = [frame(TEXT_BEGINS, b"\xce"), frame(ENDS, b"\xce")].concat();
    check("invalid UTF-8 over two pieces", &pieces, 1007);
    check("a letter that does not end", &frame(TEXT, b"\xe2\x82"), 1007);
    check("a long ping", &frame(PING, &long), 1002);
    check("a long close", &frame(CLOSE, &long), 1002);
    check("a ping in pieces", &frame(PING & 0x7f, b"a"), 1002);
    for reserved in [0x40, 0x20, 0x10, 0x70] {
        check("a reserved bit", &frame(TEXT | reserved, b"{}"), 1002);
        check("a reserved bit of a ping", &frame(PING | reserved, b""), 1002);
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        check("a reserved opcode", &frame(0x80 | opcode, b""), 1002);
    }
    check("an end without a beginning", &frame(ENDS, b"x"), 1002);
    let nested = [frame(TEXT_BEGINS, b"{"), frame(TEXT, b"{}")].concat();
    check("a message in a message", &nested, 1002);
    check("no mask", &[header(TEXT, 2, 0), b"{}".to_vec()].concat(), 1002);
    check("a close of one byte", &frame(CLOSE, &[3]), 1002);
    for code in [0_u16, 999, 1004, 1005, 1006, 1016, 2999, 5000, 65535] {
        check("a close with a code of nobody", &frame(CLOSE, &code.to_be_bytes()), 1002);
    }
    check("a close with bad words", &frame(CLOSE, b"\x03\xe8\xff"), 1007);
    check("a binary frame", &frame(0x82, b"{}"), 1003);
    for length in [26_214_401, 1 << 40, u64::MAX >> 1] {
        let head = [header(TEXT, length, 0x80), vec![0; 4]].concat();
        check("a frame that is too large", &head, 1009);
    }
    check("a length that is negative", &[header(TEXT, u64::MAX, 0x80), vec![0; 4]].concat(), 1009);
    check("a close", &frame(CLOSE, &1000_u16.to_be_bytes()), 1000);
    check("a close without a code", &frame(CLOSE, b""), 1005);
    scene.person().check_goes_on("main");
}

#[test]
fn conformance_pieces_add_up_to_no_more_than_a_message_may_have() {
    let scene = Scene::new();
    let mut stream = hello(scene.gateway.port());
    let piece = vec![b'x'; 1024 * 1024];
    let mut feeder = stream.try_clone().expect("a descriptor");
    let sent = std::thread::spawn(move || {
        let mut first = TEXT_BEGINS;
        (0..60)
            .take_while(|_| {
                let sent = feeder.write_all(&frame(std::mem::replace(&mut first, GOES_ON), &piece));
                sent.is_ok()
            })
            .count()
    });
    assert_eq!(closed(&mut stream), 1009);
    drop(stream);
    let pieces = sent.join().expect("no panic");
    assert!(pieces >= 24, "only {pieces} MiB were taken");
}

#[test]
fn conformance_a_half_closed_socket_is_let_go() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    for bytes in [&frame(TEXT, &health("a")), &frame(TEXT_BEGINS, b"{"), &vec![TEXT], &Vec::new()] {
        let mut stream = hello(port);
        stream.write_all(bytes).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("open");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("it hangs up");
    }
    // Half a request is answered or dropped, and not waited for.
    for head in ["", "GET", "GET / HTTP/1.1\r\nHost:"] {
        let mut stream = dial(Ipv4Addr::LOCALHOST.into(), port);
        stream.write_all(head.as_bytes()).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("open");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).expect("it hangs up");
        assert!(!rest.contains("200 OK"), "{rest}");
    }
    scene.person().check_goes_on("main");
}

#[test]
fn conformance_a_head_that_means_two_things_means_nothing() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    let host = format!("127.0.0.1:{port}");
    let inner = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
    // The inner request must never be answered, and what is odd gets 400 or no answer.
    let check = |what: &str, head: String, body: &str, expected: &[u16]| {
        let bytes = format!("{head}\r\n\r\n{body}");
        let mut stream = dial(Ipv4Addr::LOCALHOST.into(), port);
        stream.write_all(bytes.as_bytes()).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("open");
        let answer = exchange(stream, b"");
        assert!(expected.contains(&status(&answer)), "{what}: {answer}");
        assert!(!answer.contains("\"live\""), "{what}: the request within was answered: {answer}");
    };
    let post = format!("POST /smuggled HTTP/1.1\r\nHost: {host}\r\n");
    let ended = format!("0\r\n\r\n{inner}");
    let length = ended.len();
    let bad = &[400, 0][..];
    let closes = &[400, 404, 405, 0][..];
    check(
        "CL and TE",
        format!("{post}Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        &ended,
        closes,
    );
    check("TE and CL", format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 5"), &ended, closes);
    check("two lengths", format!("{post}Content-Length: 0\r\nContent-Length: 5"), &inner, bad);
    check("two lengths in one", format!("{post}Content-Length: 0, 5"), &inner, bad);
    check("a length with a sign", format!("{post}Content-Length: +0"), &inner, bad);
    check("a negative length", format!("{post}Content-Length: -1"), &inner, bad);
    check("a length beyond numbers", format!("{post}Content-Length: 99999999999999999999"), &inner, bad);
    check("another coding", format!("{post}Transfer-Encoding: xchunked"), &ended, bad);
    check("chunked and another", format!("{post}Transfer-Encoding: chunked, identity"), &ended, bad);
    check("a folded line", format!("{post}Transfer-Encoding:\r\n chunked"), &ended, bad);
    check("a folded line behind one", format!("{post}X-A: b\r\n\tTransfer-Encoding: chunked"), &ended, bad);
    check("a space before the colon", format!("{post}Transfer-Encoding : chunked"), &ended, bad);
    check("a name with a space", format!("{post}Transfer Encoding: chunked"), &ended, bad);
    check("a line without a colon", format!("{post}Nonsense"), &inner, bad);
    check("a NUL", format!("{post}X-A: a\0b"), &inner, bad);
    check("a bare CR", format!("{post}X-A: a\rContent-Length: 5"), &inner, bad);
    check("a control character in a name", format!("{post}X\u{1}A: b"), &inner, bad);
    let chunks = format!("{post}Transfer-Encoding: chunked");
    check("a huge chunk", chunks.clone(), &format!("ffffffffffffffffff\r\n{inner}"), closes);
    check("a chunk size with a sign", chunks.clone(), &format!("+0\r\n\r\n{inner}"), closes);
    check("a chunk size in another base", chunks.clone(), &format!("0x0\r\n\r\n{inner}"), closes);
    check("a chunk that ends early", chunks, &format!("0\r\n{inner}"), closes);
    let foreign = "GET http://evil.example/healthz HTTP/1.1\r\nHost: ";
    check("an absolute target", format!("{foreign}{host}"), "", bad);
    check("two hosts", format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nHost: evil.example"), "", bad);
    check(
        "two origins",
        format!(
            "GET /healthz HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nOrigin: http://evil.example"
        ),
        "",
        bad,
    );
    check("no host", "GET /healthz HTTP/1.1\r\nX-A: b".to_owned(), "", &[400, 421]);
    check("a tunnel", format!("CONNECT evil.example:443 HTTP/1.1\r\nHost: {host}"), &inner, bad);
    check("no version", format!("GET /healthz\r\nHost: {host}"), "", bad);
    check("another version", format!("GET /healthz HTTP/3.0\r\nHost: {host}"), "", bad);
    check("HTTP/2 at once", "PRI * HTTP/2.0".to_owned(), "SM\r\n\r\n", bad);
    // Lines that end without a CR are lines; what they say is said once.
    let bare = format!("GET /x HTTP/1.1\nHost: evil.example\r\nX: {host}");
    check("a bare LF before the host", bare, "", &[400, 421, 0]);
    scene.person().check_goes_on("main");
}

#[test]
fn conformance_what_follows_an_upgrade_is_no_request() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    let host = format!("127.0.0.1:{port}");
    let inner = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let answer = exchange(
        dial(Ipv4Addr::LOCALHOST.into(), port),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\n{UPGRADE}\r\n{inner}").as_bytes(),
    );
    assert_eq!(status(&answer), 101, "{answer}");
    assert!(!answer.contains("\"live\""), "{answer}");
    // Frames that came with the request are frames.
    let mut stream = dial(Ipv4Addr::LOCALHOST.into(), port);
    assert_eq!(upgrade(&mut stream, &host, ""), 101);
    let mut refused = dial(Ipv4Addr::LOCALHOST.into(), port);
    let foreign = format!("GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example\r\n{UPGRADE}\r\n");
    let request = [foreign.as_bytes(), inner.as_bytes()].concat();
    refused.write_all(&request).expect("it reads");
    refused.shutdown(Shutdown::Write).expect("open");
    let answer = exchange(refused, b"");
    assert_eq!(status(&answer), 403, "{answer}");
    // An answer to a health request of the same connection is a second request, honestly told apart.
    let mut person = hello(port);
    person.write_all(&frame(TEXT, &health("after"))).expect("it reads");
    assert_eq!(response(&mut person, "after")["ok"], true);
}
