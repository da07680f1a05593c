package helseidtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
)

// A tool that is written for Test-Token-Tjenesten works without it.
func ExampleTestTokens() {
	server, err := helseidtest.Start(helseidtest.TestTokens("my-key"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	body := `{"audience":"nhn:my-api","clientClaimsParameters":{"scope":["nhn:my-api/read"]},"setInvalidIssuer":true}`
	request, err := http.NewRequest(http.MethodPost, server.Issuer()+"/v2/create-test-token-with-key", strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	request.Header.Set("X-Auth-Key", "my-key")
	response, err := server.HTTPClient().Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var answer struct {
		IsError         bool
		SuccessResponse struct{ AccessTokenJwt string }
	}
	_ = json.NewDecoder(response.Body).Decode(&answer)
	fmt.Println(answer.IsError, strings.Count(answer.SuccessResponse.AccessTokenJwt, "."))
	// Output: false 2
}

// A client registers its next key with the one that it has.
func ExampleSelvbetjening() {
	server, err := helseidtest.Start(helseidtest.Selvbetjening{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config := server.NewClient(helseidtest.Scopes(helseidtest.SelvbetjeningScope))
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	api := client.HTTPClient(helseid.TokenRequest{Scopes: []string{helseidtest.SelvbetjeningScope}})

	next := `{"kty":"EC","crv":"P-256","kid":"next","alg":"ES256","use":"sig",
		"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	response, err := api.Post(server.SelvbetjeningURL()+"/v1/client-secret", "application/json", strings.NewReader(next))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = response.Body.Close()
	fmt.Println(response.StatusCode)

	response, err = api.Get(server.SelvbetjeningURL() + "/v1/client-secret")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var keys []struct{ Origin, Kid string }
	_ = json.NewDecoder(response.Body).Decode(&keys)
	fmt.Println(len(keys), keys[0].Origin, keys[1].Origin, keys[1].Kid)
	// Output:
	// 200
	// 2 Gui Api next
}

// A supplier gets no token for an organisation that has not delegated to it.
func ExampleServer_Delegate() {
	server, err := helseidtest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	config := server.NewClient(helseidtest.Delegations(), helseidtest.Scopes("nhn:some-api/read"))
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	ctx := helseid.ForOrganization(context.Background(), "994598759", "")

	_, err = client.Token(ctx, helseid.TokenRequest{})
	fmt.Println(strings.Contains(err.Error(), "HID-1001"))
	if err := server.Delegate("994598759", config.ClientID); err != nil {
		fmt.Println(err)
		return
	}
	client, err = helseid.New(config) // the first one waits a while before it asks again
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	_, err = client.Token(ctx, helseid.TokenRequest{})
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}
