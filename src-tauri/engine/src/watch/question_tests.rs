use super::*;

const NAME: &str = "sleepy";

/// Answers the question number `after` as a device of that name, in the words of RFC 1035.
async fn device(name: &'static str, after: usize) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        for n in 0.. {
            let (_, asker) = socket.recv_from(&mut buffer).await.unwrap();
            if n >= after {
                let id = [buffer[0], buffer[1]];
                socket.send_to(&response(name, id), asker).await.unwrap();
            }
        }
    });
    address
}

fn response(name: &str, id: [u8; 2]) -> Vec<u8> {
    let label = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let mut packet = vec![id[0], id[1], 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    for part in [name, "_esphomelib", "_tcp", "local"] {
        packet.extend(label(part));
    }
    packet.extend([0, 0, 16, 0, 1, 0, 0, 0, 10]);
    let txt = [label("version=2026.10.0"), label("config_hash=06b5fb73")].concat();
    packet.extend(u16::try_from(txt.len()).unwrap().to_be_bytes());
    packet.extend(txt);
    packet
}

#[tokio::test]
async fn the_device_s_answer_is_read() {
    let peer = device(NAME, 0).await;
    let answer = ask_port(NAME, peer, Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!((answer.name.as_str(), answer.source.sender().is_some()), (NAME, true));
    assert_eq!(answer.config_hash.unwrap().to_string(), "06b5fb73");
    assert_eq!(answer.addresses, [peer.ip()]);
}

#[tokio::test]
async fn the_question_is_repeated() {
    let peer = device(NAME, 2).await;
    let start = Instant::now();
    assert!(ask_port(NAME, peer, Duration::from_secs(60)).await.unwrap().is_some());
    assert!(start.elapsed() >= REPEAT * 2);
}

#[tokio::test]
async fn a_stranger_shows_itself() {
    let peer = device("kitchen", 0).await;
    let answer = ask_port(NAME, peer, Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(answer.name, "kitchen");
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let silent = device(NAME, usize::MAX).await;
    let start = Instant::now();
    assert_eq!(ask_port(NAME, silent, Duration::from_millis(400)).await.unwrap(), None);
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn only_the_peer_s_answers_to_this_question_count() {
    let (peer, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    let packet = response(NAME, [0, 7]);
    assert!(read_answer(&packet, 7, NAME, peer, peer).is_some());
    assert!(read_answer(&packet, 7, NAME, other, peer).is_none());
    assert!(read_answer(&packet, 8, NAME, peer, peer).is_none());
    assert!(read_answer(&packet[..20], 7, NAME, peer, peer).is_none());
}
