package browsertest

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// A user logs in, calls an API for one organisation and another, and logs out.
// The back button shows nothing afterwards.
func TestLogin(t *testing.T) {
	w, b := newWorld(t), newBrowser(t)
	b.open(w.app + "/")
	b.see("Velkommen til Demojournal")
	b.shoot("home")
	b.click("Logg inn med HelseID")
	b.user("KVART GREVLING")
	require.True(t, strings.HasPrefix(b.where(), w.issuer+"/"))
	b.shoot("login")
	b.click("Logg inn")
	b.see("Min side")
	require.Equal(t, w.app+"/me", b.where())
	b.see("565505933")
	require.Contains(t, b.body(), "***********")
	require.NotContains(t, b.body(), "06828399789")
	b.see("ingen bestemt organisasjon")
	b.shoot("me")

	b.run(chromedp.SendKeys("#child", "999977775"))
	b.click("Bytt organisasjon")
	b.run(chromedp.WaitVisible(`//strong[@id="acting" and contains(., "999977775")]`, chromedp.BySearch))
	b.click("Kall API-et")
	b.see("Svaret fra API-et")
	require.Contains(t, b.body(), `"child": "999977775"`)
	b.shoot("called")
	b.click("Hva sier tokenene?")
	b.see("DPoP")
	require.Contains(t, b.body(), "orgnr_child")
	b.shoot("token")
	b.run(chromedp.Clear("#child"))
	b.click("Bytt organisasjon")
	b.see("ingen bestemt organisasjon")
	b.click("Kall API-et")
	b.see("Svaret fra API-et")
	require.Contains(t, b.body(), `"child": ""`)

	var scripts string
	b.run(chromedp.Evaluate("document.cookie", &scripts))
	require.Empty(t, scripts, "scripts see no cookie")

	b.click("Logg ut")
	b.see("Velkommen til Demojournal")
	require.Equal(t, w.app+"/", b.where())
	for range 2 {
		b.run(chromedp.NavigateBack())
		b.see("ber deg om å logge inn")
		require.NotContains(t, b.body(), "Min side")
		require.NotContains(t, b.body(), "Svaret fra API-et")
	}
	b.open(w.app + "/me")
	b.see("ber deg om å logge inn")
}

func TestCancel(t *testing.T) {
	w, b := newWorld(t), newBrowser(t)
	b.open(w.app + "/me")
	b.user("KVART GREVLING")
	b.click("Avbryt")
	b.see("Innloggingen ble avbrutt")
	b.expect("403 (Forbidden)")
	b.shoot("cancelled")
	b.click("Logg inn")
	b.user("RASK TRANE")
	b.click("Logg inn")
	b.see("Min side")
	b.see("Ikke helsepersonell")
	require.Equal(t, w.app+"/me", b.where())
}

// A user at level 3 steps up, fails first, and is back where the level was needed.
func TestStepUp(t *testing.T) {
	w, b := newWorld(t), newBrowser(t)
	b.open(w.app + "/me")
	b.user("STILLE BLÅ ELG")
	b.click("Logg inn")
	b.see("Gå til siden som krever nivå 4")
	b.click("Gå til siden som krever nivå 4")
	b.see("Klienten ber om sikkerhetsnivå")
	b.user("STILLE BLÅ ELG")
	b.shoot("step-up")
	b.click("Logg inn")
	b.see("Innloggingen er ikke sterk nok")
	b.expect("403 (Forbidden)")
	b.shoot("too-low")
	b.click("Logg inn på høyere nivå")
	b.user("KVART GREVLING")
	b.click("Logg inn")
	b.see("Feil bruker")
	b.expect("403 (Forbidden)")
	b.click("Logg inn på nytt")
	b.user("STILLE BLÅ ELG")
	b.run(chromedp.SetValue("#level", "4"))
	b.click("Logg inn")
	b.see("og kan se denne siden")
	require.Equal(t, w.app+"/strong", b.where())
	b.shoot("strong")
}

// A page of another site, and a callback that is opened again, lead a user who is
// logged in to the application, as the one they are.
func TestSessionStays(t *testing.T) {
	w, b := newWorld(t), newBrowser(t)
	b.open(w.app + "/me")
	b.user("STILLE BLÅ ELG")
	b.click("Logg inn")
	b.see("Min side")
	b.open(w.issuer + "/")
	b.see("Testbrukere")
	b.run(chromedp.Evaluate(`location.href = "`+w.app+`/login?return_to=/me"`, nil))
	b.see("Min side")
	require.Contains(t, b.body(), "STILLE BLÅ ELG")
	b.open(w.app + "/callback?state=x&code=x")
	b.see("Velkommen, STILLE")
	require.Equal(t, w.app+"/", b.where())
	b.open(w.app + "/me")
	require.Contains(t, b.body(), "STILLE BLÅ ELG")
}

func TestKeyboardOnly(t *testing.T) {
	w, b := newWorld(t), newBrowser(t)
	b.open(w.app + "/")
	b.see("Velkommen til Demojournal")
	b.tab("Til innholdet")
	b.tab("Logg inn med HelseID")
	b.press(kb.Enter)
	b.see("ber deg om å logge inn")
	b.tab("KVART GREVLING")
	b.press(kb.ArrowDown)
	b.shoot("keyboard")
	b.tab("Sikkerhetsnivå")
	b.tab("Identitetsleverandør")
	b.tab("Logg inn")
	b.press(kb.Enter)
	b.see("Min side")
	require.Contains(t, b.body(), "STILLE BLÅ ELG")
	b.tab("Logg ut")
	b.press(kb.Enter)
	b.see("Velkommen til Demojournal")
}

// Without arguments the application brings its own HelseID, and organisations to
// choose from.
func TestDemo(t *testing.T) {
	b := newBrowser(t)
	app := start(t, "weblogin", "-json", "-listen", "127.0.0.1:0")("listening")["url"].(string)
	b.open(app + "/me")
	b.user("KVART GREVLING")
	b.click("Logg inn")
	b.see("Min side")
	b.run(chromedp.SetValue("#organization", "org:994598759/999977775"))
	b.click("Bytt organisasjon")
	b.run(chromedp.WaitVisible(`//strong[@id="acting" and contains(., "legevakten")]`, chromedp.BySearch))
	b.click("Kall API-et")
	b.see("Svaret fra API-et")
	require.Contains(t, b.body(), `"child": "999977775"`)
	b.run(chromedp.EmulateViewport(360, 740))
	b.shoot("narrow")
}

// The start page of the HelseID on this machine.
func TestStartPage(t *testing.T) {
	w, b := newWorld(t), newBrowser(t)
	b.open(w.issuer + "/")
	b.see("Testbrukere")
	b.shoot("start")
	b.run(chromedp.SetValue("#token", "eyJ0eXAiOiJhdCtqd3QifQ.eyJhdWQiOiJuaG46ZGVtby1hcGkiLCJleHAiOjE3MDAwMDAwMDB9.x"))
	b.click("Vis innholdet")
	b.see("Dette sier tokenet")
	b.see("utløpt")
	require.Contains(t, b.body(), "nhn:demo-api")
	b.shoot("decoded")
	b.run(chromedp.SetValue("#token", "x"))
	b.click("Vis innholdet")
	b.see("Det er ikke et token")
	b.expect("400 (Bad Request)")
}
