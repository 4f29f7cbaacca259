use tests_protocol::explore::explore;
use tests_protocol::scenario::*;
use tests_protocol::anomaly::Anomaly;
fn show(name: &str, s: &Scenario) {
    let t = std::time::Instant::now();
    let e = explore(s);
    println!("{name}: {} states {} steps {} in {:?}", e.states, e.steps, e.anomalies, t.elapsed());
    for a in Anomaly::ALL { if let Some(t) = e.trace(a) { println!("   {}: {t}", a.letter()); } }
}
const W: [(&str, Writer); 7] = [("strict", Writer::Strict{put:false}), ("strict put", Writer::Strict{put:true}),
        ("fast", Writer::Fast{put:false}),
        ("manual", Writer::Manual), ("feed", Writer::Feed),
        ("hold", Writer::Hold{put:false}), ("hold put", Writer::Hold{put:true})];
#[test]
fn failover() {
    for (n, w) in W { for k in [1,3] { for feed in [false, true] { 
        let mut s = Scenario::new(w, 2, Reader::Ours, 1).with(Faults{failover:k,..Faults::default()}); s.feed |= feed; 
        if feed && n.starts_with("hold") {continue;}
        show(&format!("{n} failover {k} feed {feed}"), &s); } } }
}
#[test]
fn list() {
    for (n, w) in W { if w.puts() {continue;} 
        for f in [Faults::default(), Faults{crash:true,..Faults::default()}, Faults{evict:true,..Faults::default()}, Faults{lost:true,..Faults::default()}] {
        let mut s = Scenario::new(w, 2, Reader::Ours, 1).with(f); s.list = true; s.one_row = false;
        show(&format!("list {n} {f:?}"), &s); } }
}
#[test]
fn nodes() {
    for (n, w) in W { 
        for f in [Faults::default(), Faults{crash:true,..Faults::default()}, Faults{evict:true,..Faults::default()}, Faults{reorder:true,..Faults::default()}, Faults{cut:true,..Faults::default()}] {
        let mut s = Scenario::new(w, 1, Reader::Ours, 2).with(f); s.l1 = true; s.readers[1] = 1;
        show(&format!("l1 {n} {f:?}"), &s); } }
}
