package browsertest

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

var screenshots = flag.String("screenshots", "", "`folder` for screenshots; empty: a new one in the temporary folder")

const help = "no Chromium was found: install it, on Debian with: apt-get update && apt-get install -y chromium"

// limit is how long one step may take.
const limit = 10 * time.Second

var (
	programs string          // folder of the built examples
	chromium context.Context // one process for all tests
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		browser := findChromium()
		if browser == "" {
			fmt.Fprintln(os.Stderr, help)
			return 1
		}
		var err error
		if programs, err = os.MkdirTemp("", "browsertest-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(programs) }()
		build := exec.Command("go", "build", "-o", programs+"/", "./examples/weblogin", "./examples/localhelseid", "./examples/api")
		build.Dir = filepath.Join("..", "..")
		if output, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the examples: %v\n%s", err, output)
			return 1
		}
		if *screenshots == "" {
			if *screenshots, err = os.MkdirTemp("", "screenshots-"); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		} else if err := os.MkdirAll(*screenshots, 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("screenshots are in", *screenshots)
		allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.WindowSize(1000, 900), chromedp.Flag("lang", "nb"),
			chromedp.WSURLReadTimeout(limit),
		)...)
		defer endAllocator()
		var endBrowser context.CancelFunc
		chromium, endBrowser = chromedp.NewContext(allocator)
		defer endBrowser()
		if err := chromedp.Run(chromium); err != nil {
			fmt.Fprintln(os.Stderr, "start", browser+":", err)
			return 1
		}
		return m.Run()
	}())
}

func findChromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// start runs an example until the test ends, and returns its first line of JSON
// for each event.
func start(t *testing.T, name string, args ...string) func(event string) map[string]any {
	t.Helper()
	command := exec.Command(filepath.Join(programs, name), args...)
	var stderr strings.Builder
	command.Stderr = &stderr
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, command.Process.Signal(os.Interrupt))
		for range lines {
		}
		require.NoError(t, command.Wait(), stderr.String())
	})
	return func(event string) map[string]any {
		t.Helper()
		for {
			select {
			case line, ok := <-lines:
				require.True(t, ok, "%s has ended: no %s", name, event)
				if event == "" {
					return map[string]any{"line": line}
				}
				var object map[string]any
				require.NoError(t, json.Unmarshal([]byte(line), &object), line)
				if object["event"] == event {
					return object
				}
			case <-time.After(limit):
				require.FailNow(t, "no line", "%s: %s", name, event)
			}
		}
	}
}

// world is HelseID, an API and a web application as three processes.
type world struct {
	app, issuer string
}

func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client.json")
	helseid := start(t, "localhelseid", "-json", "-listen", "127.0.0.1:0", "-write", file)
	w := &world{issuer: helseid("listening")["issuer"].(string)}
	helseid("client")
	api := start(t, "api", "-listen", "127.0.0.1:0", "-issuer", w.issuer)("")["line"].(string)
	api = strings.TrimPrefix(api, "listening on ")
	app := start(t, "weblogin", append([]string{"-json", "-config", file, "-listen", "127.0.0.1:0", "-api", api + "/machine"}, flags...)...)
	w.app = app("listening")["url"].(string)
	return w
}

// browser is one browser, and what went wrong in it.
type browser struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
	expected []string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	// A window of its own, without the cookies of others.
	inBrowser := cdp.WithExecutor(chromium, chromedp.FromContext(chromium).Browser)
	private, err := target.CreateBrowserContext().Do(inBrowser)
	require.NoError(t, err)
	window, err := target.CreateTarget("about:blank").WithBrowserContextID(private).WithNewWindow(true).Do(inBrowser)
	require.NoError(t, err)
	ctx, end := chromedp.NewContext(chromium, chromedp.WithTargetID(window))
	t.Cleanup(end)
	b := &browser{T: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		switch event := event.(type) {
		case *runtime.EventExceptionThrown:
			b.problem(event.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			b.problem(fmt.Sprint("console: ", event.Type))
		case *log.EventEntryAdded:
			// Chromium tells of what a logout clears.
			if event.Entry.Level != log.LevelVerbose && !strings.HasPrefix(event.Entry.Text, "Clear-Site-Data header on") {
				b.problem(fmt.Sprint(event.Entry.Source, ": ", event.Entry.Text))
			}
		}
	})
	require.NoError(t, chromedp.Run(ctx, chromedp.EmulateViewport(1000, 900))) // without a limit: it opens the tab
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		require.Equal(t, b.expected, b.problems, "what the console says")
	})
	return b
}

func (b *browser) problem(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, text)
}

// expect names what Chromium writes to the console for an answer that is an error
// on purpose.
func (b *browser) expect(status string) {
	b.expected = append(b.expected, "network: Failed to load resource: the server responded with a status of "+status)
}

func (b *browser) run(actions ...chromedp.Action) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		var where, text string
		late, cancel := context.WithTimeout(b.ctx, limit)
		defer cancel()
		_ = chromedp.Run(late, chromedp.Location(&where), chromedp.Text("body", &text))
		require.NoError(b, err, "at %s: %s", where, text)
	}
}

func (b *browser) open(url string) { b.Helper(); b.run(chromedp.Navigate(url)) }

// see waits for an element with this text.
func (b *browser) see(text string) {
	b.Helper()
	b.run(chromedp.WaitVisible(fmt.Sprintf(`//body//*[not(self::script or self::style or self::option) and text()[contains(., %q)]]`, text), chromedp.BySearch))
}

func (b *browser) click(text string) {
	b.Helper()
	b.run(chromedp.Click(fmt.Sprintf(`//body//*[(self::a or self::button or self::summary) and contains(., %q)]`, text), chromedp.BySearch))
}

// user chooses a user on the login page.
func (b *browser) user(name string) {
	b.Helper()
	b.see("ber deg om å logge inn")
	b.run(chromedp.Click(fmt.Sprintf(`//label[contains(., %q)]`, name), chromedp.BySearch))
}

func (b *browser) where() string {
	b.Helper()
	var url string
	b.run(chromedp.Location(&url))
	return url
}

func (b *browser) body() string {
	b.Helper()
	var text string
	b.run(chromedp.Text("body", &text))
	return text
}

// tab moves the focus by keyboard until it is on an element with this text.
func (b *browser) tab(text string) {
	b.Helper()
	var seen []string
	for range 30 {
		b.run(chromedp.KeyEvent(kb.Tab))
		var focused string
		var outline string
		b.run(
			chromedp.Evaluate(`(e => e.labels && e.labels.length ? e.labels[0].innerText : e.innerText || "")(document.activeElement)`, &focused),
			chromedp.Evaluate(`(e => (e.closest(".choice") || e)).call(null, document.activeElement) && getComputedStyle(document.activeElement.closest(".choice") || document.activeElement).outlineStyle`, &outline),
		)
		if strings.Contains(focused, text) {
			require.NotEqual(b, "none", outline, "the focus on %q is not to be seen", text)
			return
		}
		seen = append(seen, focused)
	}
	require.FailNow(b, "the keyboard does not lead there", "%s: %q", text, seen)
}

func (b *browser) press(key string) { b.Helper(); b.run(chromedp.KeyEvent(key)) }

// shoot takes a screenshot in light and dark.
func (b *browser) shoot(name string) {
	b.Helper()
	for _, scheme := range []string{"dark", "light"} {
		var picture []byte
		b.run(
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
			chromedp.FullScreenshot(&picture, 100),
		)
		path := filepath.Join(*screenshots, name+"-"+scheme+".png")
		require.NoError(b, os.WriteFile(path, picture, 0o644))
	}
}
