// Runs the browser selection of http-cache-tests with a `fetch` that another process carries out.
// Arguments: the folder of the package, the URL of its server, the URL of that process, and the ids of tests, or none for
// all of them. Prints the tests and results.
import process from 'node:process'

const [folder, base, client, ...ids] = process.argv.slice(2)
const { runTests, getResults } = await import(`${folder}/client/runner.mjs`)
const suites = (await import(`${folder}/tests/index.mjs`)).default

async function fetchThere (url, init) {
  const { method = 'GET', headers = [], body = null, cache = 'default', redirect = 'follow' } = init ?? {}
  const message = JSON.stringify({ url, method, headers, body, cache, redirect })
  const answer = await (await fetch(client, { method: 'POST', body: message })).json()
  if (answer.error) throw new Error(answer.error)
  return {
    status: answer.status,
    statusText: answer.reason,
    headers: new Headers(answer.headers),
    text: async () => answer.body
  }
}

// Some tests expect that two requests are less than two seconds apart, so not too many run at once.
const atOnce = 40
const wanted = suites.map(suite => ({
  ...suite,
  tests: suite.tests.filter(test => ids.length === 0 || ids.includes(test.id))
}))
await runTests(wanted, fetchThere, true, base, atOnce)
const tests = suites.flatMap(suite => suite.tests.map(test => ({
  group: suite.id,
  id: test.id,
  name: test.name,
  kind: test.kind ?? 'required',
  needs: test.depends_on ?? []
})))
// It keeps connections open, so it would not end by itself; and what is printed goes to a pipe, and takes time.
process.stdout.write(JSON.stringify({ tests, results: getResults() }), () => process.exit(0))
