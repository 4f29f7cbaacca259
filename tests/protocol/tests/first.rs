use tests_protocol::explore::explore;
use tests_protocol::scenario::*;
use tests_protocol::anomaly::Anomaly;
fn show(name: &str, s: &Scenario) {
    let t = std::time::Instant::now();
    let e = explore(s);
    println!("{name}: {} states {} steps {} in {:?}", e.states, e.steps, e.anomalies, t.elapsed());
    for a in Anomaly::ALL { if let Some(t) = e.trace(a) { println!("   {}: {t}", a.letter()); } }
}
#[test]
fn first() {
    for (n, w, k) in [("strict", Writer::Strict{put:false}, Reader::Ours), ("strict put", Writer::Strict{put:true}, Reader::Ours),
        ("fast", Writer::Fast{put:false}, Reader::Ours), ("fast put", Writer::Fast{put:true}, Reader::Ours),
        ("manual", Writer::Manual, Reader::Ours), ("feed", Writer::Feed, Reader::Ours),
        ("hold", Writer::Hold{put:false}, Reader::Ours), ("hold put", Writer::Hold{put:true}, Reader::Ours),
        ("delete after", Writer::DeleteAfter, Reader::Set), ("double", Writer::DeleteTwice, Reader::Set), ("nx", Writer::DeleteAfter, Reader::SetIfNothing),
        ("cas", Writer::DeleteAfter, Reader::SetIfNewer), ("lease inside", Writer::DeleteInside, Reader::Lease), ("lease after", Writer::DeleteAfter, Reader::Lease), ("client", Writer::DeleteAfter, Reader::ClientLease)] {
        for f in [Faults::default(), Faults{crash:true,..Faults::default()}, Faults{evict:true,..Faults::default()}, Faults{lost:true,..Faults::default()}] {
            show(&format!("{n} {f:?}"), &Scenario::new(w, 2, k, 2).with(f));
        }
    }
    println!("{} distinct", tests_protocol::memo::Memo::distinct());
}
