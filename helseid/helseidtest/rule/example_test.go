package rule_test

import (
	"context"
	"fmt"
	"log"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/rule"
)

// A client that sends its first proof without a nonce must repeat the request, unless the
// server does not require nonces.
func Example() {
	for _, rules := range [][]rule.Rule{nil, {rule.Nonce}} {
		server, err := helseidtest.Start(helseidtest.Relaxed(rules...)) // in a test: helseidtest.NewServer
		if err != nil {
			log.Fatal(err)
		}
		client, err := helseid.New(server.NewClient(helseidtest.Scopes("nhn:some-api/read")))
		if err != nil {
			log.Fatal(err)
		}
		if _, err := client.Token(context.Background(), helseid.TokenRequest{}); err != nil {
			log.Fatal(err)
		}
		fmt.Println("without", rules, "requests:", len(server.Requests(helseidtest.EndpointToken)))
		client.Close()
		server.Close()
	}
	// Output:
	// without [] requests: 2
	// without [nonce] requests: 1
}
