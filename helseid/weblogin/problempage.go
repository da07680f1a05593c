package weblogin

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"

	"github.com/helseid-go/sdk/helseid/identity"
)

//go:embed problempage.html
var pageSource string

//go:embed problempage.css
var pageStyle string

var page = template.Must(template.New("page").Parse(pageSource))

// pagePolicy permits the page's own style and nothing else.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// pageText is what a page says about a kind of problem.
type pageText struct{ title, text, action string }

var pageTexts = map[Kind]pageText{
	KindCancelled:        {"Innloggingen ble avbrutt", "Du er ikke logget inn. Du kan prøve igjen når du vil.", "Logg inn"},
	KindExpired:          {"Innloggingen er ikke lenger gyldig", "Den tok for lang tid, er brukt før, eller ble startet i en annen nettleser. Start en ny innlogging.", "Logg inn på nytt"},
	KindWrongPerson:      {"Feil bruker", "Den som logget inn, er en annen enn brukeren dette gjelder. Logg inn på nytt som riktig person. Skal en annen bruke maskinen, må den forrige logge ut først.", "Logg inn på nytt"},
	KindLevelTooLow:      {"Innloggingen er ikke sterk nok", "Siden krever innlogging på et høyere sikkerhetsnivå, for eksempel med BankID, Buypass eller Commfides.", "Logg inn på høyere nivå"},
	KindUnavailable:      {"Tjenesten er ikke tilgjengelig akkurat nå", "Det er ikke noe galt med innloggingen din. Vent litt, og prøv igjen.", "Prøv igjen"},
	KindLoginRequired:    {"Du er ikke logget inn", "Innloggingen har utløpt eller er avsluttet. Det du sendte, er ikke tatt imot.", "Logg inn"},
	KindCrossOrigin:      {"Forespørselen ble avvist", "Den kom fra et annet nettsted. Ingenting er endret.", ""},
	KindLogoutIncomplete: {"Du er logget ut her", "Utloggingen hos HelseID kunne ikke bekreftes. Lukk alle nettleservinduer, særlig på en delt maskin.", ""},
	KindLoop:             {"Innloggingen går i ring", "Du har logget inn flere ganger, men kommer ikke videre.", "Prøv igjen"},
	KindFailed:           {"Innloggingen mislyktes", "Noe gikk galt. Prøv igjen. Kontroller også at klokken på maskinen går riktig.", "Prøv igjen"},
}

// loopTexts are what the page says about the reason of a loop.
var loopTexts = map[Loop]string{
	LoopNoCookie:         "Nettleseren tar ikke vare på informasjonskapselen som holder deg innlogget. Tillat informasjonskapsler for dette nettstedet, og bruk adressen som begynner med https.",
	LoopEnded:            "Innloggingen blir avsluttet med en gang, eller tjenesten finner den ikke igjen. Gi beskjed til dem som drifter tjenesten.",
	LoopTooOld:           "Innloggingen regnes som for gammel. Gi beskjed til dem som drifter tjenesten: klokken kan gå feil.",
	LoopOtherApplication: "Nettleseren er logget inn i en annen tjeneste på samme adresse. Gi beskjed til dem som drifter tjenesten.",
	LoopLevel:            "Siden krever en sterkere innlogging enn den du får. Gi beskjed til dem som drifter tjenesten.",
	LoopPage:             "Du er logget inn, men siden ber likevel om en ny innlogging. Gi beskjed til dem som drifter tjenesten.",
}

// writePage writes the page of a problem.
func writePage(rw http.ResponseWriter, problem Problem) {
	text := pageTexts[problem.Kind]
	if problem.Kind == KindLoop {
		text.text += " " + loopTexts[problem.Loop]
	}
	rw.Header().Set("Content-Type", "text/html; charset=UTF-8")
	rw.Header().Set("Content-Security-Policy", pagePolicy)
	rw.WriteHeader(problem.Status)
	_ = page.Execute(rw, struct {
		Problem
		Title, Text, Action string
		Level               identity.SecurityLevel
		Style               template.CSS
	}{problem, text.title, text.text, text.action, levelShown(problem), template.CSS(pageStyle)})
}

// levelShown returns the level that a page names, or zero.
func levelShown(problem Problem) identity.SecurityLevel {
	if problem.Kind == KindLevelTooLow {
		return problem.SecurityLevel
	}
	return 0
}
