// Counts the requests of each caller and answers with the hash of what was sent; see `count` in client.py.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
)

func main() {
	var lock sync.Mutex
	counts := map[string]int{}
	http.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(writer, err.Error(), 400)
			return
		}
		caller := request.URL.Path[1:]
		lock.Lock()
		counts[caller]++
		count := counts[caller]
		lock.Unlock()
		answer := fmt.Sprintf("%s %d %x", caller, count, sha256.Sum256(body))
		writer.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		io.WriteString(writer, answer)
	})
	fmt.Println(http.ListenAndServe("0.0.0.0:"+os.Args[1], nil))
}
