// Toxiproxy's documented behaviour, asked for with the Go client of its own module.
//
// Run by tests/chaos/links/test_toxiproxy_go.py against `cloudcart proxy`. It knows nothing of what it talks to but the
// address in TOXIPROXY, so that it can be run against Toxiproxy itself, too:
//
//	TOXIPROXY=127.0.0.1:8474 go test -count=1 ./...
package toxiproxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

const patience = 10 * time.Second

func client(t *testing.T) *toxiproxy.Client {
	t.Helper()
	address := os.Getenv("TOXIPROXY")
	if address == "" {
		t.Fatal("set TOXIPROXY to the address of a control API")
	}
	return toxiproxy.NewClient(address)
}

// echo serves connections that get back what they send, and are closed when the caller closes its side.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				_, _ = io.Copy(connection, connection)
			}()
		}
	}()
	return listener.Addr().String()
}

func proxied(t *testing.T) *toxiproxy.Proxy {
	t.Helper()
	proxy, err := client(t).CreateProxy(t.Name(), "127.0.0.1:0", echo(t))
	fatal(t, err)
	t.Cleanup(func() { _ = proxy.Delete() })
	return proxy
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func add(t *testing.T, proxy *toxiproxy.Proxy, kind, stream string, attributes toxiproxy.Attributes) {
	t.Helper()
	toxic, err := proxy.AddToxic("", kind, stream, 1, attributes)
	fatal(t, err)
	if toxic.Name != kind+"_"+stream || toxic.Type != kind || toxic.Stream != stream || toxic.Toxicity != 1 {
		t.Fatalf("the toxic is shown as %+v", toxic)
	}
}

func dial(t *testing.T, proxy *toxiproxy.Proxy) *net.TCPConn {
	t.Helper()
	connection, err := net.Dial("tcp", proxy.Listen)
	fatal(t, err)
	fatal(t, connection.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { connection.Close() })
	return connection.(*net.TCPConn)
}

// ask sends and reads the echo; it returns how much came back, how long that took, and why it was not all.
func ask(t *testing.T, connection net.Conn, size int) (int, time.Duration, error) {
	t.Helper()
	begun := time.Now()
	if _, err := connection.Write(bytes.Repeat([]byte("x"), size)); err != nil {
		return 0, time.Since(begun), err
	}
	got, err := io.ReadFull(connection, make([]byte, size))
	return got, time.Since(begun), err
}

// askAnew does the same on a connection of its own; where one is cut at once, connecting may be what fails.
func askAnew(t *testing.T, proxy *toxiproxy.Proxy) (time.Duration, error) {
	t.Helper()
	begun := time.Now()
	connection, err := net.Dial("tcp", proxy.Listen)
	if err != nil {
		return time.Since(begun), err
	}
	defer connection.Close()
	fatal(t, connection.SetDeadline(time.Now().Add(patience)))
	_, _, err = ask(t, connection, 1)
	return time.Since(begun), err
}

func asked(t *testing.T, proxy *toxiproxy.Proxy, size int) time.Duration {
	t.Helper()
	_, took, err := ask(t, dial(t, proxy), size)
	fatal(t, err)
	return took
}

func between(t *testing.T, took, least, most time.Duration) {
	t.Helper()
	if took < least || took > most {
		t.Fatalf("took %v, not %v to %v", took, least, most)
	}
}

func TestVersion(t *testing.T) {
	version, err := client(t).Version()
	fatal(t, err)
	if !bytes.Contains(version, []byte(`"version"`)) {
		t.Fatalf("the version is %s", version)
	}
}

func TestLatency(t *testing.T) {
	proxy := proxied(t)
	add(t, proxy, "latency", "downstream", toxiproxy.Attributes{"latency": 100, "jitter": 20})
	between(t, asked(t, proxy, 1), 75*time.Millisecond, 5*time.Second)
	add(t, proxy, "latency", "upstream", toxiproxy.Attributes{"latency": 100})
	between(t, asked(t, proxy, 1), 175*time.Millisecond, 5*time.Second)
	toxic, err := proxy.UpdateToxic("latency_downstream", -1, toxiproxy.Attributes{"latency": 300, "jitter": 0})
	fatal(t, err)
	if toxic.Attributes["latency"] != 300.0 || toxic.Toxicity != 1 {
		t.Fatalf("the changed toxic is shown as %+v", toxic)
	}
	between(t, asked(t, proxy, 1), 395*time.Millisecond, 5*time.Second)
	fatal(t, proxy.RemoveToxic("latency_downstream"))
	fatal(t, proxy.RemoveToxic("latency_upstream"))
	between(t, asked(t, proxy, 1), 0, 90*time.Millisecond)
}

func TestLatencyActsOnLiveConnections(t *testing.T) {
	proxy := proxied(t)
	connection := dial(t, proxy)
	_, _, err := ask(t, connection, 1)
	fatal(t, err)
	add(t, proxy, "latency", "downstream", toxiproxy.Attributes{"latency": 100})
	_, took, err := ask(t, connection, 1)
	fatal(t, err)
	between(t, took, 95*time.Millisecond, 5*time.Second)
}

func TestDown(t *testing.T) {
	proxy := proxied(t)
	connection := dial(t, proxy)
	_, _, err := ask(t, connection, 1)
	fatal(t, err)
	fatal(t, proxy.Disable())
	if _, err := connection.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a live connection of a disabled proxy ends, but reading gave %v", err)
	}
	if _, err := net.Dial("tcp", proxy.Listen); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("a disabled proxy refuses connections, but dialling gave %v", err)
	}
	shown, err := client(t).Proxy(proxy.Name)
	fatal(t, err)
	if shown.Enabled {
		t.Fatal("it is shown as enabled")
	}
	listen := proxy.Listen
	fatal(t, proxy.Enable())
	if proxy.Listen != listen {
		t.Fatalf("it listened on %s and now on %s", listen, proxy.Listen)
	}
	asked(t, proxy, 1)
}

func TestBandwidth(t *testing.T) {
	proxy := proxied(t)
	add(t, proxy, "bandwidth", "downstream", toxiproxy.Attributes{"rate": 1000})
	between(t, asked(t, proxy, 300_000), 200*time.Millisecond, 5*time.Second)
}

func TestSlowClose(t *testing.T) {
	proxy := proxied(t)
	add(t, proxy, "slow_close", "downstream", toxiproxy.Attributes{"delay": 150})
	connection := dial(t, proxy)
	_, _, err := ask(t, connection, 1)
	fatal(t, err)
	begun := time.Now()
	fatal(t, connection.CloseWrite())
	if _, err := connection.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the connection is closed in the end, but reading gave %v", err)
	}
	between(t, time.Since(begun), 140*time.Millisecond, 5*time.Second)
}

func TestTimeout(t *testing.T) {
	proxy := proxied(t)
	add(t, proxy, "timeout", "downstream", toxiproxy.Attributes{"timeout": 150})
	got, took, err := ask(t, dial(t, proxy), 1)
	if got != 0 || err != io.EOF {
		t.Fatalf("no data get through and the connection is closed, but %d bytes came and %v", got, err)
	}
	between(t, took, 100*time.Millisecond, 5*time.Second)
}

func TestTimeoutZeroDropsUntilItIsRemoved(t *testing.T) {
	proxy := proxied(t)
	add(t, proxy, "timeout", "downstream", toxiproxy.Attributes{"timeout": 0})
	connection := dial(t, proxy)
	fatal(t, connection.SetDeadline(time.Now().Add(200*time.Millisecond)))
	if got, _, err := ask(t, connection, 1); got != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("nothing comes and nothing is closed, but %d bytes came and %v", got, err)
	}
	fatal(t, proxy.RemoveToxic("timeout_downstream"))
	asked(t, proxy, 1)
}

func TestResetPeer(t *testing.T) {
	proxy := proxied(t)
	add(t, proxy, "reset_peer", "downstream", toxiproxy.Attributes{"timeout": 0})
	if _, err := askAnew(t, proxy); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the connection is reset, but asking gave %v", err)
	}
	_, err := proxy.UpdateToxic("reset_peer_downstream", -1, toxiproxy.Attributes{"timeout": 150})
	fatal(t, err)
	took, err := askAnew(t, proxy)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the connection is reset after a time, but asking gave %v", err)
	}
	between(t, took, 100*time.Millisecond, 5*time.Second)
}

func TestSlicer(t *testing.T) {
	proxy := proxied(t)
	attributes := toxiproxy.Attributes{"average_size": 10, "size_variation": 2, "delay": 10_000}
	add(t, proxy, "slicer", "downstream", attributes)
	between(t, asked(t, proxy, 200), 100*time.Millisecond, 9*time.Second)
}

func TestLimitData(t *testing.T) {
	proxy := proxied(t)
	add(t, proxy, "limit_data", "downstream", toxiproxy.Attributes{"bytes": 1000})
	got, _, err := ask(t, dial(t, proxy), 5000)
	if got != 1000 || err != io.ErrUnexpectedEOF {
		t.Fatalf("1000 bytes come and the connection is closed, but it was %d and %v", got, err)
	}
}

func TestToxicity(t *testing.T) {
	proxy := proxied(t)
	_, err := proxy.AddToxic("sometimes", "reset_peer", "downstream", 0.5, toxiproxy.Attributes{"timeout": 0})
	fatal(t, err)
	hits := 0
	for i := 0; i < 60; i++ {
		if _, err := askAnew(t, proxy); err != nil {
			hits++
		}
	}
	if hits < 10 || hits > 50 { // beyond one in a million for a fair coin
		t.Fatalf("a toxicity of one half hit %d of 60 connections", hits)
	}
	_, err = proxy.UpdateToxic("sometimes", 0, toxiproxy.Attributes{})
	fatal(t, err)
	asked(t, proxy, 1)
}

func TestToxicsAreListedAndKeptApart(t *testing.T) {
	proxy := proxied(t)
	_, err := proxy.AddToxic("first", "latency", "downstream", 1, toxiproxy.Attributes{"latency": 60})
	fatal(t, err)
	_, err = proxy.AddToxic("second", "latency", "downstream", 1, toxiproxy.Attributes{"latency": 60})
	fatal(t, err)
	between(t, asked(t, proxy, 1), 115*time.Millisecond, 5*time.Second)
	toxics, err := proxy.Toxics()
	fatal(t, err)
	if len(toxics) != 2 {
		t.Fatalf("two toxics are listed as %+v", toxics)
	}
	if _, err = proxy.AddToxic("first", "latency", "downstream", 1, nil); err == nil || !strings.Contains(err.Error(), "409") {
		t.Fatalf("a name is taken once, but the second time gave %v", err)
	}
	if err = proxy.RemoveToxic("third"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Fatalf("what is not there cannot be removed, but it gave %v", err)
	}
}

func TestByTheClientsOptions(t *testing.T) {
	proxy := proxied(t)
	options := &toxiproxy.ToxicOptions{
		ProxyName: proxy.Name, ToxicName: "slow", ToxicType: "latency", Stream: "upstream", Toxicity: 1,
		Attributes: toxiproxy.Attributes{"latency": 60},
	}
	_, err := client(t).AddToxic(options)
	fatal(t, err)
	between(t, asked(t, proxy, 1), 55*time.Millisecond, 5*time.Second)
	options.Attributes = toxiproxy.Attributes{"latency": 120}
	_, err = client(t).UpdateToxic(options)
	fatal(t, err)
	between(t, asked(t, proxy, 1), 115*time.Millisecond, 5*time.Second)
	fatal(t, client(t).RemoveToxic(options))
}

func TestResetState(t *testing.T) {
	proxy := proxied(t)
	add(t, proxy, "latency", "downstream", toxiproxy.Attributes{"latency": 5000})
	fatal(t, proxy.Disable())
	fatal(t, client(t).ResetState())
	shown, err := client(t).Proxy(proxy.Name)
	fatal(t, err)
	if !shown.Enabled || len(shown.ActiveToxics) != 0 {
		t.Fatalf("a reset enables proxies and removes toxics, but it is %+v", shown)
	}
	asked(t, proxy, 1)
}

func TestPopulate(t *testing.T) {
	upstream, other := echo(t), echo(t)
	wanted := []toxiproxy.Proxy{
		{Name: "populated one", Listen: "127.0.0.1:0", Upstream: upstream, Enabled: true},
		{Name: "populated two", Listen: "127.0.0.1:0", Upstream: upstream, Enabled: false},
	}
	made, err := client(t).Populate(wanted)
	fatal(t, err)
	t.Cleanup(func() {
		for _, proxy := range made {
			_ = proxy.Delete()
		}
	})
	if len(made) != 2 || !made[0].Enabled || made[1].Enabled {
		t.Fatalf("they are shown as %+v and %+v", made[0], made[1])
	}
	asked(t, made[0], 1)
	add(t, made[0], "latency", "downstream", toxiproxy.Attributes{"latency": 60})
	same := []toxiproxy.Proxy{{Name: made[0].Name, Listen: made[0].Listen, Upstream: upstream, Enabled: true}}
	again, err := client(t).Populate(same)
	fatal(t, err)
	between(t, asked(t, again[0], 1), 55*time.Millisecond, 5*time.Second) // what is the same stays as it is
	same[0].Upstream = other
	again, err = client(t).Populate(same)
	fatal(t, err)
	if again[0].Upstream != other {
		t.Fatalf("another upstream makes it anew, but it is %+v", again[0])
	}
	all, err := client(t).Proxies()
	fatal(t, err)
	if all["populated one"] == nil || all["populated two"] == nil {
		t.Fatalf("they are not among %v", all)
	}
}

func TestSaveChangesAProxy(t *testing.T) {
	proxy := proxied(t)
	proxy.Upstream = echo(t)
	fatal(t, proxy.Save())
	shown, err := client(t).Proxy(proxy.Name)
	fatal(t, err)
	if shown.Upstream != proxy.Upstream {
		t.Fatalf("the upstream is %s, not %s", shown.Upstream, proxy.Upstream)
	}
	asked(t, proxy, 1)
}

func TestDeleted(t *testing.T) {
	proxy := proxied(t)
	connection := dial(t, proxy)
	_, _, err := ask(t, connection, 1)
	fatal(t, err)
	fatal(t, proxy.Delete())
	if _, err := client(t).Proxy(proxy.Name); err == nil || !strings.Contains(err.Error(), "404") {
		t.Fatalf("a deleted proxy is gone, but it gave %v", err)
	}
	if _, err := connection.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("its connections end, but reading gave %v", err)
	}
	if _, err := client(t).CreateProxy("", "127.0.0.1:0", echo(t)); err == nil {
		t.Fatal("a proxy has a name")
	}
}
