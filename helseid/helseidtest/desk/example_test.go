package desk_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest/desk"
)

// A HelseID beside a program of your own, while it runs.
func Example() {
	folder, err := os.MkdirTemp("", "desk-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := filepath.Join(folder, "client.json")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	output, printed := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- desk.Run(ctx, desk.Config{Listen: "127.0.0.1:0", ClientFile: file, API: "nhn:demo-api", Output: printed})
	}()
	lines := bufio.NewReader(output)
	_, _ = lines.ReadString('\n') // listening on http://127.0.0.1:…
	go func() { _, _ = io.Copy(io.Discard, lines) }()

	config, err := helseid.LoadConfig(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := helseid.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	response, err := client.HTTPClient(helseid.TokenRequest{}).Get(config.Issuer + "/api/echo")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.Status)
	stop()
	fmt.Println(<-ended)
	// Output:
	// 200 OK
	// <nil>
}
